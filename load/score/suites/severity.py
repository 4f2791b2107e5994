"""Suite ``severity``: the rules must assign the severity that a person assigned to each case."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator
from rich.console import Console
from rich.table import Table

from load.score.suite import ScorePlan, ScoreResults, ScoreTask, SuiteReport, mean_share
from load.score.suites.cases import CaseModel, read_cases
from load.world import SUBJECT
from pipeline.correlate.severity import SLA, SeverityTable, decide_severity
from pipeline.detect.findings import effect_size
from pipeline.detect.signals import catalogue
from schemas.drift import Direction, Drift, Tier
from schemas.incident import Severity
from schemas.timestamp import parse_timestamp

FILE = Path(__file__).parents[2] / "cases" / "severity.toml"
CASES_MIN = 60

AT_MS = parse_timestamp("2026-11-24T03:12:00Z")
"""Start of all drifts in Unix milliseconds."""

RECORDS, BASELINE_RECORDS = 250, 100_000
"""Number of records from which the current value of a drift is computed, and number for its reference value."""

_SIGNALS = {signal.name: signal for signal in (*catalogue.SIGNALS, *catalogue.CATEGORIES, *catalogue.EVENTS)}


class CaseDrift(CaseModel):
    """Drift of a case. By default, the drift is a page in the bad direction and has a clear effect."""

    signal: str
    normal: float
    now: float
    tier: Tier = "page"
    side: Direction | None = None
    channel: str | None = None
    segment: str = ""
    effect: float | None = Field(default=None, description="Rank shift of a value, or odds ratio of a rate.")
    traffic_share: float = Field(default=1.0, description="Share of the subject's records that belong to the segment.")

    @field_validator("signal")
    @classmethod
    def _is_known(cls, signal: str) -> str:
        if signal not in _SIGNALS:
            raise ValueError(f"unknown signal {signal}")
        return signal

    def to_drift(self) -> Drift:
        """Return the drift as detect would publish it."""
        signal = _SIGNALS[self.signal]
        is_rate = signal.kind == "rate"
        bad: Direction = "down" if signal.direction == "down" else "up"
        side = self.side or bad
        effect = self.effect
        if effect is None:
            shift = 0.3 if side == "up" else -0.3
            effect = effect_size("rate", self.normal, self.now, RECORDS, BASELINE_RECORDS)[0] if is_rate else shift
        return Drift(
            drift_id=f"{self.signal}-{self.segment}",
            state="firing",
            subject=SUBJECT,
            partition=0,
            segment=self.segment,
            signal=self.signal,
            layer=signal.layer,
            unit=signal.unit,
            failure_mode=signal.failure_mode,
            channel=self.channel or ("rate" if is_rate else "location"),
            side=side,
            tier=self.tier,
            detector="page_hinkley",
            baseline_version="b-1",
            started_at=AT_MS,
            detected_at=AT_MS + 5000,
            updated_at=AT_MS + 5000,
            normal=self.normal,
            now=self.now,
            effect=effect,
            effect_kind="odds_ratio" if is_rate else "rank_shift",
            records=RECORDS,
            evidence=30.0,
            threshold=28.0,
            sentence="",
            traffic_share=self.traffic_share,
        )


class SeverityCase(CaseModel):
    """One case of the file. ``says`` describes the event, and ``sla`` contains the promised maximum by signal."""

    says: str
    severity: Severity
    drifts: tuple[CaseDrift, ...] = Field(min_length=1)
    sla: dict[str, float] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaseDecision:
    """Severity that the rules assign to a case. The fields are keys of the report."""

    scenario: str
    expected: Severity
    severity: Severity
    rule: str
    moved_by: str | None

    @property
    def is_right(self) -> bool:
        """True if the rules assign the expected severity."""
        return self.severity == self.expected


def read_severity_cases(path: Path = FILE) -> list[SeverityCase]:
    """Read the cases of a file. Raises :class:`load.errors.LoadError` if it is invalid."""
    return read_cases(path, SeverityCase)


def tasks(_: ScorePlan, /) -> Iterator[ScoreTask]:
    """Yield a single task for all cases."""
    yield ScoreTask(("severity", "cases", 0), "severity", partial(decide_cases, read_severity_cases()))


def decide_cases(cases: Iterable[SeverityCase]) -> list[CaseDecision]:
    """Assign a severity to every case with the default rules."""
    table = SeverityTable.default()
    decisions = []
    for case in cases:
        promises = {
            (SUBJECT, name): SLA(subject=SUBJECT, signal=name, maximum=limit) for name, limit in case.sla.items()
        }
        decision = decide_severity(table, [drift.to_drift() for drift in case.drifts], promises)
        decisions.append(CaseDecision(case.says, case.severity, decision.severity, decision.rule, decision.adjusted_by))
    return decisions


def report(results: ScoreResults, /) -> SuiteReport:
    """Build the report: figures, problems, and a row per case."""
    (decisions,) = results.select("severity")
    figures = {
        "severity_cases": len(decisions),
        "severity_right_share": mean_share([decision.is_right for decision in decisions]),
    }
    rows = [asdict(decision) | {"suite": "severity", "right": decision.is_right} for decision in decisions]
    return SuiteReport(figures, find_problems(decisions), rows)


def find_problems(decisions: list[CaseDecision]) -> list[str]:
    """List the cases whose severity is not the expected one, and add a problem if there are too few cases."""
    problems = [
        f"{decision.scenario}: {decision.severity} by {decision.rule}, expected {decision.expected}"
        for decision in decisions
        if not decision.is_right
    ]
    if len(decisions) < CASES_MIN:
        problems.append(f"only {len(decisions)} severity cases, but {CASES_MIN} are needed")
    return problems


def show(report: dict[str, Any], console: Console, /) -> None:
    """Print a row per case, and the share of correct decisions."""
    table = Table(title="Severity", box=None)
    for name in ("case", "severity", "rule"):
        table.add_column(name)
    for row in (row for row in report["rows"] if row["suite"] == "severity"):
        table.add_row(row["scenario"], row["severity"], " and ".join(filter(None, (row["rule"], row["moved_by"]))))
    console.print(table)
    console.print(
        f"{report['severity_right_share']:.1%} of {report['severity_cases']} cases have the expected severity"
    )
