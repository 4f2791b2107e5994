"""Suite ``field``: failures and harmless events of an assistant whose baseline was learned live, from nothing."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal

from pydantic import Field, model_validator
from rich.console import Console
from rich.table import Table

from load.score.assistant import Change, Disturbances, LiveSource, LiveStream, PlayedEvent, Stage, Where
from load.score.suite import ScorePlan, ScoreResults, ScoreTask, SuiteReport, format_number
from load.score.suites.cases import CaseModel, read_cases
from pipeline.detect.settings import DetectSettings
from schemas.drift import MINUTE_MS, Drift
from schemas.topics import DAY_MS, HOUR_MS

FILE = Path(__file__).parents[2] / "cases" / "field.toml"

OBSERVED_SEEDS, SEEDS = 10, 3
"""Number of runs of an event that was observed in the field, and of any other."""

PER_SECOND = 2.0
"""Mean requests per second of a weekday."""

FOUND_SHARE_MIN, IN_TIME_SHARE_MIN = 0.95, 0.9

AFTERWARDS_MS = MINUTE_MS
"""Milliseconds for which a failure continues after the expected drift fired."""

JITTER_MIN = 9.0
"""The time of an event differs by up to this number of minutes from seed to seed, if the case names no hour."""

OFFICE_FIRST_DAYS = (0, 3, 5)
"""Days of the week on which an office starts to use the assistant, by seed: Monday, Thursday, Saturday."""


class FieldCase(CaseModel):
    """One case of the file. The file explains its keys."""

    name: str
    says: str
    kind: Literal["failure", "harmless"]
    observed: bool = False
    tier: Literal["page", "ticket"] = "page"
    ticket_first: bool = False
    signals: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    within_min: float | None = Field(default=None, gt=0)
    forbid_tickets: bool = False
    days: int = Field(default=3, ge=0, le=28)
    hour: float | None = Field(default=None, ge=0, lt=24)
    weekday: int | None = Field(default=None, ge=0, le=6)
    play_min: float | None = Field(default=None, gt=0)
    office: bool = False
    from_start: bool = False
    stages: tuple[Stage, ...] = ()
    where: Where = Where()
    changes: tuple[Change, ...] = ()
    messages: Disturbances = Disturbances()

    @model_validator(mode="after")
    def _is_complete(self) -> "FieldCase":
        is_failure = self.kind == "failure"
        if is_failure != bool(self.signals) or is_failure != (self.within_min is not None):
            raise ValueError(f"{self.name}: signals and within_min belong to failures, and only to them")
        if not is_failure and self.play_min is None:
            raise ValueError(f"{self.name}: a harmless event needs play_min")
        return self

    @property
    def played_min(self) -> float:
        """Minutes that are played after the event."""
        return self.play_min or max(60.0, 3.0 * (self.within_min or 0.0))

    def source(self, seed: int, per_second: float = PER_SECOND) -> LiveSource:
        """Return the stream that is learned before the event."""
        first_day = OFFICE_FIRST_DAYS[seed % len(OFFICE_FIRST_DAYS)] if self.office else 0
        return LiveSource(seed, self.days, per_second, self.office, first_day)

    def event_ms(self, seed: int) -> int:
        """Return the time of the event in Unix milliseconds: the next suitable one after the checkpoint."""
        end_ms = self.source(seed).end_ms
        if self.hour is None:
            jitter_min = seed * 7 % 10 / 9 * JITTER_MIN if self.days else 0.0
            return end_ms + round((30.0 * bool(self.days) + jitter_min) * MINUTE_MS)
        event_ms = end_ms // DAY_MS * DAY_MS + round(self.hour * HOUR_MS)
        while event_ms < end_ms or (self.weekday is not None and _weekday(event_ms) != self.weekday):
            event_ms += DAY_MS
        return event_ms

    def event(self, seed: int) -> PlayedEvent:
        """Return the event as it is played with a seed."""
        return PlayedEvent(self.name, self.event_ms(seed), self.stages, self.where, self.changes, self.messages)


@dataclass(frozen=True, slots=True)
class FieldRun:
    """Result of a case with one seed. The fields are keys of the report.

    Attributes
    ----------
    found
        Whether an expected drift fired after the event, at the expected tier or above.
    in_time
        Whether it did so within the time limit.
    delay_min
        Minutes from the event to the expected drift.
    pages, tickets
        Drifts that must not fire, as signal, channel and segment: those of signals that the event does not move, and those
        before the event. For a harmless event, all of them.
    """

    scenario: str
    seed: int
    found: bool
    in_time: bool
    tier: str | None
    delay_min: float | None
    pages: tuple[str, ...]
    tickets: tuple[str, ...]
    config_hash: str


def _weekday(time_ms: int) -> int:
    return (time_ms // DAY_MS + 3) % 7


def read_field_cases(path: Path = FILE) -> list[FieldCase]:
    """Read the cases of a file. Raises :class:`load.errors.LoadError` if it is invalid."""
    return read_cases(path, FieldCase)


def tasks(plan: ScorePlan, /) -> Iterator[ScoreTask]:
    """Yield a task per case and seed. Cases that continue from one stream run in one process."""
    for case in read_field_cases():
        for seed in plan.seeds(OBSERVED_SEEDS if case.observed else SEEDS):
            group = f"field {seed}{' office' * case.office}"
            yield ScoreTask(("field", case.name, seed), group, partial(run_field_case, case, seed, plan.settings))


def run_field_case(case: FieldCase, seed: int, settings: DetectSettings, per_second: float = PER_SECOND) -> FieldRun:
    """Play a case from a copy of the checkpoint of its stream. The limits of the file are meant for its traffic."""
    source = case.source(seed, per_second)
    checkpoint = source.learn(settings)
    stream = LiveStream(source, checkpoint, settings)
    event = case.event(seed)
    fired: list[Drift] = list(checkpoint.fired) if case.from_start else []
    until_ms: int | None = None
    for drifts in stream.play(event, event.event_ms + round(case.played_min * MINUTE_MS)):
        fired += drifts
        if until_ms is None and case.kind == "failure":
            found = next((drift for drift in drifts if _is_expected(case, drift, event.event_ms)), None)
            until_ms = None if found is None else found.detected_at + AFTERWARDS_MS
        if until_ms is not None and stream.watermark_ms > until_ms:
            break
    return judge_run(case, seed, fired, event.event_ms, settings)


def judge_run(case: FieldCase, seed: int, fired: list[Drift], event_ms: int, settings: DetectSettings) -> FieldRun:
    """Compare the drifts that fired with those that the case expects and forbids."""
    expected = [drift for drift in fired if _is_expected(case, drift, event_ms)]
    first = min(expected, key=lambda drift: drift.detected_at, default=None)
    if first is not None and case.ticket_first and first.tier == "page":
        first = None
    delay_min = None if first is None else (first.detected_at - event_ms) / MINUTE_MS
    moved = {*case.signals, *case.also}
    wrong = [drift for drift in fired if drift.signal not in moved or drift.detected_at < event_ms]
    return FieldRun(
        scenario=case.name,
        seed=seed,
        found=first is not None,
        in_time=delay_min is not None and case.within_min is not None and delay_min <= case.within_min,
        tier=None if first is None else first.tier,
        delay_min=delay_min,
        pages=tuple(_describe(drift, event_ms) for drift in wrong if drift.tier == "page"),
        tickets=tuple(_describe(drift, event_ms) for drift in wrong if drift.tier == "ticket"),
        config_hash=settings.digest(),
    )


def _is_expected(case: FieldCase, drift: Drift, event_ms: int) -> bool:
    tiers = ("page",) if case.tier == "page" else ("page", "ticket")
    return drift.signal in case.signals and drift.tier in tiers and drift.detected_at >= event_ms


def _describe(drift: Drift, event_ms: int) -> str:
    minutes = (drift.detected_at - event_ms) / MINUTE_MS
    return f"{drift.signal} {drift.channel}{' ' * bool(drift.segment)}{drift.segment} at {minutes:+.0f} min"


def build_row(case: FieldCase, runs: list[FieldRun]) -> dict[str, Any]:
    """Build the report row of a case from the results of all its seeds."""
    delays = [run.delay_min for run in runs if run.delay_min is not None]
    count = max(1, len(runs))
    return {
        "scenario": case.name,
        "title": case.says,
        "suite": "field",
        "kind": case.kind,
        "observed": case.observed,
        "expected_tier": case.tier if case.kind == "failure" else None,
        "within_min": case.within_min,
        "seeds": [run.seed for run in runs],
        "found_share": sum(run.found for run in runs) / count if case.kind == "failure" else None,
        "in_time_share": sum(run.in_time for run in runs) / count if case.kind == "failure" else None,
        "median_delay_min": median(delays) if delays else None,
        "forbidden_pages": sum(len(run.pages) for run in runs),
        "forbidden_tickets": sum(len(run.tickets) for run in runs) if case.forbid_tickets else 0,
        "tickets": sum(len(run.tickets) for run in runs),
        "runs": [asdict(run) for run in runs],
    }


def report(results: ScoreResults, /) -> SuiteReport:
    """Build the report: figures, problems, and a row per case."""
    rows = [build_row(case, results.select("field", case.name)) for case in read_field_cases()]
    figures = _figures(rows)
    return SuiteReport(figures, _problems(figures, rows), rows)


def _figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    failures = [row for row in rows if row["kind"] == "failure"]
    harmless = [row for row in rows if row["kind"] == "harmless"]
    runs = sum(len(row["seeds"]) for row in harmless)
    return {
        "found_share": sum(row["found_share"] for row in failures) / max(1, len(failures)),
        "in_time_share": sum(row["in_time_share"] for row in failures) / max(1, len(failures)),
        "harmless_pages": sum(row["forbidden_pages"] for row in harmless),
        "harmless_tickets": sum(row["forbidden_tickets"] for row in harmless),
        "failure_false_pages": sum(row["forbidden_pages"] for row in failures),
        "failure_false_tickets": sum(row["forbidden_tickets"] for row in failures),
        "always_fire": {"found_share": 1.0, "in_time_share": 1.0, "harmless_pages": runs},
        "never_fire": {"found_share": 0.0, "in_time_share": 0.0, "harmless_pages": 0},
    }


def _problems(figures: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    problems = []
    if figures["found_share"] < FOUND_SHARE_MIN:
        problems.append(f"only {figures['found_share']:.1%} of the failures in the field are found")
    if figures["in_time_share"] < IN_TIME_SHARE_MIN:
        problems.append(f"only {figures['in_time_share']:.1%} of the failures in the field are found in time")
    for row in rows:
        name, count = row["scenario"], len(row["seeds"])
        if row["kind"] == "failure" and row["observed"] and not _is_in_time(row):
            problems.append(
                f"{name}: found in {row['found_share']:.0%} of {count} runs, "
                f"after {format_number(row['median_delay_min'], 1)} of {row['within_min']:.0f} minutes"
            )
        if row["forbidden_pages"]:
            problems.append(f"{name}: {row['forbidden_pages']} forbidden pages in {count} runs")
        if row["forbidden_tickets"]:
            problems.append(f"{name}: {row['forbidden_tickets']} forbidden tickets in {count} runs")
    return problems


def _is_in_time(row: dict[str, Any]) -> bool:
    delay_min = row["median_delay_min"]
    return row["found_share"] == 1.0 and delay_min is not None and delay_min <= row["within_min"]


def show(report: dict[str, Any], console: Console, /) -> None:
    """Print a row per case, and the figures."""
    table = Table(title="In the field", box=None)
    table.add_column("scenario")
    for name in ("tier", "seeds", "found", "in time", "minutes", "of", "forbidden pages", "tickets"):
        table.add_column(name, justify="right")
    for row in (row for row in report["rows"] if row["suite"] == "field"):
        is_failure = row["kind"] == "failure"
        table.add_row(
            row["scenario"] + (" *" if row["observed"] else ""),
            row["expected_tier"] or "harmless",
            str(len(row["seeds"])),
            f"{row['found_share']:.0%}" if is_failure else "",
            f"{row['in_time_share']:.0%}" if is_failure else "",
            format_number(row["median_delay_min"], 1) if is_failure else "",
            f"{row['within_min']:.0f}" if is_failure else "",
            str(row["forbidden_pages"]),
            f"{row['forbidden_tickets']} of {row['tickets']}",
        )
    table.add_row("always fire", "any", "", "100%", "100%", "0.0", "", str(report["always_fire"]["harmless_pages"]), "")
    table.add_row("never fire", "any", "", "0%", "0%", "", "", "0", "")
    console.print(table)
    console.print(
        f"* observed in the field. {report['found_share']:.1%} of the failures are found, {report['in_time_share']:.1%} "
        f"in time; harmless events have {report['harmless_pages']} pages and {report['harmless_tickets']} forbidden "
        f"tickets; tickets: forbidden, and all that are not about the event"
    )
