"""False-alarm suite (``null``): services without failures over days of low, medium and high traffic."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from load.score.comparison import DETECTORS, run_detectors
from load.score.simulation import BaselineSource, generate_quiet_stream
from load.score.suite import NO_VALUE, ScorePlan, ScoreResults, ScoreTask, SuiteReport
from load.world import SUBJECT, json_lines
from pipeline.detect.offline import read_drifts
from pipeline.detect.one_sided_tests import BETS
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.drift import Drift
from schemas.topics import BASELINES, HOUR_MS, RECORDS

SIGNAL_RECORDS_MIN = 200_000_000
"""Minimum number of signal values (signal-records) that the suite monitors."""

TICKETS_MAX_PER_10M = 2.0
"""Maximum false tickets per 10 million signal-records."""

RIVER_MIN_PER_10M = {"river_adwin": 200.0, "river_page_hinkley": 100.0}
"""Minimum number of alarms that river's detectors must raise per 10 million signal-records. With fewer alarms, the test
is too easy."""

MERGE_RECORDS = 1000
"""Window in records within which alarms of one signal count as one incident, for driftwire and for river."""

MERGE_MS = HOUR_MS
"""Window in milliseconds of event time within which alarms of one signal count as one incident in the hourly count. A
signal that never stops firing then counts as one incident per window of records. The targets use the count by records.
With the hourly count, river's ADWIN would miss its target.
"""

LEVELS = (8.0, 12.0, 16.0)
"""Evidence levels at which the test statistics are compared with their bound."""

SAMPLE_RECORDS = 256
"""Records between two samples of the test statistics."""

IGNORED_SIGNALS = ("silence",)
"""Signals that are not counted. No records are sent between windows, so a silence alarm there is correct."""


@dataclass(frozen=True, slots=True)
class QuietService:
    """Service without failures: seed, records per second, and total number of records."""

    seed: int
    per_second: float
    records: int

    @property
    def baseline_source(self) -> BaselineSource:
        """Source of the baseline of the service."""
        return BaselineSource(self.seed, self.per_second)


@dataclass(slots=True)
class FalseAlarmCounts:
    """Counts of one service. The fields are keys of the report.

    Attributes
    ----------
    threshold
        Highest threshold of the page tier.
    signal_records
        Number of monitored signal values.
    fired
        Drifts by tier.
    incidents, hourly
        Number of incidents by tier, in the count by records and in the hourly count.
    rivers, rivers_hourly
        Number of incidents by river detector, in the count by records and in the hourly count.
    river_alarms
        Number of alarms by river detector.
    looks, above
        Number of samples of the test statistics, and of samples at or above each level.
    which
        Description of each drift.
    """

    seed: int
    per_second: float
    threshold: float
    records: int = 0
    signal_records: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    incidents: Counter[str] = field(default_factory=Counter)
    hourly: Counter[str] = field(default_factory=Counter)
    rivers: Counter[str] = field(default_factory=Counter)
    rivers_hourly: Counter[str] = field(default_factory=Counter)
    river_alarms: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    above: dict[float, int] = field(default_factory=lambda: dict.fromkeys(LEVELS, 0))
    which: list[str] = field(default_factory=list)
    config_hash: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the counts as a row of the report."""
        # asdict would build each Counter from pairs and count the pairs.
        values = ((column.name, getattr(self, column.name)) for column in fields(self))
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in values}

    def add_drifts(self, drifts: list[tuple[int, Drift]]) -> None:
        """Count drifts given as (number of records played, drift)."""
        rows: dict[tuple[str, str], list[int]] = {}
        times_ms: dict[tuple[str, str], list[int]] = {}
        for row, drift in drifts:
            self.fired[drift.tier] += 1
            self.which.append(f"{drift.tier} {drift.signal} {drift.channel} {drift.segment}".rstrip())
            key = (drift.tier, drift.signal)
            rows.setdefault(key, []).append(row)
            times_ms.setdefault(key, []).append(drift.detected_at)
        for (tier, _), signal_rows in rows.items():
            self.incidents[tier] += count_incidents(signal_rows, MERGE_RECORDS)
        for (tier, _), signal_times_ms in times_ms.items():
            self.hourly[tier] += count_incidents(sorted(signal_times_ms), MERGE_MS)

    def add_river_alarms(self, column: NDArray[np.float64], times_ms: NDArray[np.int64]) -> None:
        """Run river's detectors on the values of a signal, and count their alarms."""
        reported = ~np.isnan(column)
        times_ms = times_ms[reported]
        for alarms in run_detectors(column[reported]):
            self.river_alarms[alarms.detector] += len(alarms.rows)
            self.rivers[alarms.detector] += count_incidents(alarms.rows, MERGE_RECORDS)
            self.rivers_hourly[alarms.detector] += count_incidents(times_ms[alarms.rows].tolist(), MERGE_MS)


def quiet_services(seed: int, share: float = 1.0) -> list[QuietService]:
    """Return the services: ten at 50 records per second, one at 400 and one at 2, each with a share of the records."""
    medium = [QuietService(seed + number, 50.0, round(590_000 * share)) for number in range(10)]
    high = QuietService(seed + 10, 400.0, round(480_000 * share))
    low = QuietService(seed + 11, 2.0, round(40_000 * share))
    return [*medium, high, low]


def tasks(plan: ScorePlan, /) -> Iterator[ScoreTask]:
    """Yield a task per service."""
    for service in quiet_services(plan.seed, plan.size):
        key = ("null", f"{service.per_second:g}/s", service.seed)
        yield ScoreTask(key, service.baseline_source, partial(play_service, service, plan.settings))


def play_service(service: QuietService, settings: DetectSettings) -> FalseAlarmCounts:
    """Run a service without failures, and count the alarms of driftwire and of river on the same values."""
    baseline = service.baseline_source.learn(settings)
    step = DetectStep(0, settings, replay=True)
    step.control(RawMessage(BASELINES, 0, 0, 0, None, baseline.to_json()))
    drifts: list[tuple[int, Drift]] = []
    values: dict[str, list[NDArray[np.float64]]] = {}
    times: list[NDArray[np.int64]] = []
    counts: FalseAlarmCounts | None = None
    offset = 0
    for columns in generate_quiet_stream(service.seed, service.per_second, service.records):
        lines = json_lines(columns, seed=service.seed)
        for start in range(0, len(lines), SAMPLE_RECORDS):
            messages = [
                RawMessage(RECORDS, 0, offset + row, 0, None, line)
                for row, line in enumerate(lines[start : start + SAMPLE_RECORDS])
            ]
            offset += len(messages)
            drifts += [(offset, drift) for drift in _fired(step, messages)]
            monitor = step.streams[SUBJECT].monitor if SUBJECT in step.streams else None
            if monitor is not None:
                if counts is None:
                    page = max(test.threshold for test in monitor.tests if test.tier == "page")
                    counts = FalseAlarmCounts(service.seed, service.per_second, page)
                highest = monitor.bank.test_statistics.max(axis=1)[~monitor.bank.latched]
                counts.looks += highest.size
                for level in LEVELS:
                    counts.above[level] += int(np.count_nonzero(highest >= level))
        times.append(columns.times_ms)
        for name, column in columns.values.items():
            values.setdefault(name, []).append(column)
    assert counts is not None  # noqa: S101  the step has a baseline, and therefore a monitor
    counts.records, counts.config_hash = offset, settings.digest()
    counts.signal_records = step.streams[SUBJECT].monitored.monitored
    counts.add_drifts(drifts)
    times_ms = np.concatenate(times)
    for parts in values.values():
        counts.add_river_alarms(np.concatenate(parts), times_ms)
    return counts


def _fired(step: DetectStep, messages: list[RawMessage]) -> list[Drift]:
    return [
        drift
        for drift in read_drifts(step.step(messages))
        if drift.state == "firing" and drift.tier != "cause" and drift.signal not in IGNORED_SIGNALS
    ]


def count_incidents(alarms: list[int], within: int) -> int:
    """Return the number of incidents in sorted alarms. Successive alarms less than ``within`` apart form one incident.

    >>> count_incidents([0, 999, 1998, 5000], 1000)
    2
    >>> count_incidents([], 1000)
    0
    """
    return len(alarms) and 1 + int(np.count_nonzero(np.diff(alarms) >= within))


def figures(services: list[FalseAlarmCounts]) -> dict[str, Any]:
    """Return the figures of the suite."""
    signal_records = sum(counts.signal_records for counts in services)
    looks = sum(counts.looks for counts in services)
    per_10m = 1e7 / max(1, signal_records)
    rivers = {name: sum(counts.rivers[name] for counts in services) * per_10m for name in DETECTORS}
    rivers_hourly = {name: sum(counts.rivers_hourly[name] for counts in services) * per_10m for name in DETECTORS}
    above = {level: sum(counts.above[level] for counts in services) / max(1, looks) for level in LEVELS}
    return {
        "signal_records": signal_records,
        "records": sum(counts.records for counts in services),
        "seeds": [counts.seed for counts in services],
        "page_false_incidents": sum(counts.incidents["page"] for counts in services),
        "ticket_false_incidents": sum(counts.incidents["ticket"] for counts in services),
        "page_firings": sum(counts.fired["page"] for counts in services),
        "ticket_firings": sum(counts.fired["ticket"] for counts in services),
        "ticket_per_10m": sum(counts.incidents["ticket"] for counts in services) * per_10m,
        "river_adwin_per_10m": rivers["river_adwin"],
        "river_page_hinkley_per_10m": rivers["river_page_hinkley"],
        "merged_within_an_hour": {
            "page_false_incidents": sum(counts.hourly["page"] for counts in services),
            "ticket_false_incidents": sum(counts.hourly["ticket"] for counts in services),
            **{f"{name}_per_10m": rivers_hourly[name] for name in DETECTORS},
        },
        "river_alarms": {name: sum(counts.river_alarms[name] for counts in services) for name in DETECTORS},
        "always_fire_per_10m": 1e7 / MERGE_RECORDS,
        "never_fire_per_10m": 0.0,
        "exceedance": {
            f"{level:g}": {"measured": above[level], "bound": BETS * float(np.exp(-level))} for level in LEVELS
        },
        "which": sorted(Counter(drift for counts in services for drift in counts.which).items()),
        "services": [counts.to_json() for counts in services],
    }


def report(results: ScoreResults, /) -> SuiteReport:
    """Build the report: figures and problems, without rows."""
    services: list[FalseAlarmCounts] = results.select("null")
    suite_figures = figures(services)
    problems = []
    if suite_figures["page_false_incidents"]:
        problems.append(f"{suite_figures['page_false_incidents']} false pages in services without failures")
    if suite_figures["ticket_per_10m"] > TICKETS_MAX_PER_10M:
        problems.append(f"{suite_figures['ticket_per_10m']:.2f} false tickets per 10 million signal-records")
    if results.plan.size >= 1 and suite_figures["signal_records"] < SIGNAL_RECORDS_MIN:
        problems.append(f"only {suite_figures['signal_records']:,} signal-records were monitored")
    if any(suite_figures[f"{name}_per_10m"] < floor for name, floor in RIVER_MIN_PER_10M.items()):
        problems.append("the test is too easy: river's detectors at their defaults raise too few alarms")
    problems += [
        f"max W reaches {level} more often than its bound allows"
        for level, share in suite_figures["exceedance"].items()
        if share["measured"] > share["bound"]
    ]
    if {counts.config_hash for counts in services} != {results.plan.settings.digest()}:
        problems.append("the services ran with different configurations")
    return SuiteReport(suite_figures, problems)


def show(report: dict[str, Any], console: Console, /) -> None:
    """Print the false incidents of all detectors, and how often the test statistics exceed their bound."""
    title = f"Services without failures: false incidents in {report['signal_records']:,} signal-records"
    table = Table(title=title, box=None)
    for name in ("detector", "incidents", "per 10 million", "merged within an hour"):
        table.add_column(name, justify="left" if name == "detector" else "right")
    per_10m = 1e7 / max(1, report["signal_records"])
    hourly = report["merged_within_an_hour"]
    for tier in ("page", "ticket"):
        count, merged = report[f"{tier}_false_incidents"], hourly[f"{tier}_false_incidents"]
        table.add_row(f"driftwire, {tier} tier", str(count), f"{count * per_10m:.2f}", f"{merged * per_10m:.2f}")
    for name, key in (("ADWIN", "river_adwin_per_10m"), ("PageHinkley", "river_page_hinkley_per_10m")):
        table.add_row(f"river {name}, defaults", NO_VALUE, f"{report[key]:.0f}", f"{hourly[key]:.0f}")
    table.add_row("always fire", NO_VALUE, f"{report['always_fire_per_10m']:,.0f}", NO_VALUE)
    table.add_row("never fire", "0", "0", "0")
    console.print(table)
    for level, share in report["exceedance"].items():
        console.print(f"max W >= {level}: {share['measured']:.2g} of samples, bound K exp(-w) {share['bound']:.2g}")
