"""The severity cases: what happened, in sentences with evidence, and how bad a person says it is. The rules are asked."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from load.score.suites.cases import read_cases
from load.world import SUBJECT
from pipeline.correlate.severity import SLA, SeverityTable, decide_severity
from pipeline.detect.findings import effect_size
from pipeline.detect.signals import catalogue
from schemas.drift import Direction, Drift, Tier
from schemas.incident import Severity
from schemas.timestamp import parse_timestamp

FILE = Path(__file__).parents[2] / "cases" / "severity.toml"
CASES = 60
"""Cases that there are at least."""

AT_MS = parse_timestamp("2026-11-24T03:12:00Z")
RECORDS, LEARNED = 250, 100_000
"""Behind what is said of now, and of what was normal."""

_SIGNALS = {signal.name: signal for signal in (*catalogue.SIGNALS, *catalogue.CATEGORIES, *catalogue.EVENTS)}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Evidence(_Strict):
    """A drift, as far as it matters: the direction that is bad, and a clear effect, where nothing else is said."""

    signal: str
    normal: float
    now: float
    tier: Tier = "page"
    side: Direction | None = None
    channel: str | None = None
    segment: str = ""
    effect: float | None = Field(default=None, description="a shift of rank, of a value; an odds ratio, of a rate")
    traffic_share: float = Field(default=1.0, description="of the subject's records, what the segment has")

    @field_validator("signal")
    @classmethod
    def _is_known(cls, signal: str) -> str:
        if signal not in _SIGNALS:
            raise ValueError(f"no signal is called {signal}")
        return signal


class Case(_Strict):
    """One case: ``sla`` is the most that was promised of the subject, by signal."""

    says: str
    severity: Severity
    drifts: tuple[Evidence, ...] = Field(min_length=1)
    sla: dict[str, float] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules say of a case."""

    scenario: str
    expected: Severity
    severity: Severity
    rule: str
    moved_by: str | None

    @property
    def is_right(self) -> bool:
        """Whether they say what a person does."""
        return self.severity == self.expected


def cases(file: Path = FILE) -> list[Case]:
    """The cases of a file; :class:`load.errors.LoadError` if it holds none."""
    return read_cases(file, Case, "severity cases")


def judge(found: Iterable[Case]) -> list[Judged]:
    """Ask the rules that come with the product."""
    table = SeverityTable.default()
    judged = []
    for case in found:
        promises = {
            (SUBJECT, name): SLA(subject=SUBJECT, signal=name, maximum=limit) for name, limit in case.sla.items()
        }
        decision = decide_severity(table, [drift_of(each) for each in case.drifts], promises)
        judged.append(Judged(case.says, case.severity, decision.severity, decision.rule, decision.adjusted_by))
    return judged


def drift_of(evidence: Evidence) -> Drift:
    """The drift that detect would send."""
    signal = _SIGNALS[evidence.signal]
    is_rate = signal.kind == "rate"
    bad: Direction = "down" if signal.direction == "down" else "up"
    side = evidence.side or bad
    effect = evidence.effect
    if effect is None:
        shift = 0.3 if side == "up" else -0.3
        effect = effect_size("rate", evidence.normal, evidence.now, RECORDS, LEARNED)[0] if is_rate else shift
    return Drift(
        drift_id=f"{evidence.signal}-{evidence.segment}",
        state="firing",
        subject=SUBJECT,
        partition=0,
        segment=evidence.segment,
        signal=evidence.signal,
        layer=signal.layer,
        unit=signal.unit,
        failure_mode=signal.failure_mode,
        channel=evidence.channel or ("rate" if is_rate else "location"),
        side=side,
        tier=evidence.tier,
        detector="page_hinkley",
        baseline_version="b-1",
        started_at=AT_MS,
        detected_at=AT_MS + 5000,
        updated_at=AT_MS + 5000,
        normal=evidence.normal,
        now=evidence.now,
        effect=effect,
        effect_kind="odds_ratio" if is_rate else "rank_shift",
        records=RECORDS,
        evidence=30.0,
        threshold=28.0,
        sentence="",
        traffic_share=evidence.traffic_share,
    )


def severity_report(judged: list[Judged]) -> dict[str, Any]:
    """The figures of the suite."""
    return {
        "severity_cases": len(judged),
        "severity_right_share": sum(each.is_right for each in judged) / max(1, len(judged)),
    }


def rows(judged: list[Judged]) -> list[dict[str, Any]]:
    """A row a case."""
    return [asdict(each) | {"suite": "severity", "right": each.is_right} for each in judged]


def problems(judged: list[Judged]) -> list[str]:
    """The cases that are decided otherwise, and whether there are too few."""
    found = [
        f"{each.scenario}: {each.severity} by {each.rule}, and it is a {each.expected}"
        for each in judged
        if not each.is_right
    ]
    if len(judged) < CASES:
        found.append(f"only {len(judged)} severity cases, and {CASES} are needed")
    return found
