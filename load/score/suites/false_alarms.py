"""The quiet world: nothing fails, for days, at low, middle and high traffic. What fires is false."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from load.score.simulation import BASELINE_END_MS, OTHER_CHANCE, Normal, baseline_of, widened
from load.score.suites.river_detectors import DETECTORS, alarms
from load.world import DAY_MS, SUBJECT, Columns, Floats, World, json_lines
from pipeline.detect.offline import read_drifts
from pipeline.detect.one_sided_tests import BETS
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.drift import Drift
from schemas.topics import BASELINES, RECORDS

SIGNAL_RECORDS = 200_000_000
"""Signal-records that the suite judges at least."""

DAYS = 6
"""Tuesday to Sunday, after the baseline's Monday."""

WINDOWS_A_DAY = 4
"""Each day is looked at in so many stretches, spread over it; between them no record is sent."""

MERGE_RECORDS = 1000
"""Alarms of one signal within so many records of the one before are one incident: ours and the peers' alike."""

MERGE_MS = 3_600_000
"""The other way to count, by event time. A signal that never stops firing is then one incident a stretch. The floors
are held against the first way; by this one river's ADWIN misses its own. Both are in the report."""

LEVELS = (8.0, 12.0, 16.0)
"""Evidence at which the walks are held against their bound."""

LOOK_RECORDS = 256
"""Records between two looks at the walks."""

NOT_COUNTED = ("silence",)
"""Between two stretches no record is sent: that is a silence, and rightly told."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """One service in which nothing fails: ``records`` of it in all, at a rate a second."""

    seed: int
    per_second: float
    records: int

    @property
    def normal(self) -> Normal:
        """By what it is judged."""
        return Normal(self.seed, self.per_second)


@dataclass(slots=True)
class Silence:
    """What was said of it."""

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
        """As a row of the report."""
        # asdict would count the pairs of a Counter.
        values = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in values}


def quiet_services(seed: int, share: float = 1.0) -> list[Quiet]:
    """The services of the suite: ten at 50 records a second, one at 400 and one at 2; ``share`` of all records."""
    middle = [Quiet(seed + number, 50.0, round(590_000 * share)) for number in range(10)]
    return [*middle, Quiet(seed + 10, 400.0, round(480_000 * share)), Quiet(seed + 11, 2.0, round(40_000 * share))]


def listen(quiet: Quiet, settings: DetectSettings) -> Silence:
    """Play one service and count what is said of it, and what river says of the very same values."""
    baseline = baseline_of(quiet.normal, settings)
    step = DetectStep(0, settings, replay=True)
    step.control(RawMessage(BASELINES, 0, 0, 0, None, baseline.to_json()))
    found: list[tuple[int, Drift]] = []
    values: dict[str, list[Floats]] = {}
    times: list[NDArray[np.int64]] = []
    said: Silence | None = None
    offset = 0
    for columns in _windows(quiet):
        lines = json_lines(columns, seed=quiet.seed)
        for start in range(0, len(lines), LOOK_RECORDS):
            messages = [
                RawMessage(RECORDS, 0, offset + row, 0, None, line)
                for row, line in enumerate(lines[start : start + LOOK_RECORDS])
            ]
            offset += len(messages)
            found += [(offset, drift) for drift in _firings(step, messages)]
            judge = step.streams[SUBJECT].monitor if SUBJECT in step.streams else None
            if judge is not None:
                if said is None:
                    page = max(side.threshold for side in judge.tests if side.tier == "page")
                    said = Silence(quiet.seed, quiet.per_second, page)
                highest = judge.test_statistics.max(axis=1)[~judge.latched]
                said.looks += highest.size
                for level in LEVELS:
                    said.above[level] += int(np.count_nonzero(highest >= level))
        times.append(columns.times_ms)
        for name, column in columns.values.items():
            values.setdefault(name, []).append(column)
    assert said is not None  # noqa: S101  there is a baseline, so there is a judge
    said.records, said.config_hash = offset, settings.digest()
    said.signal_records = step.streams[SUBJECT].monitored.monitored
    _count_ours(said, found)
    times_ms = np.concatenate(times)
    for parts in values.values():
        _count_rivers(said, np.concatenate(parts), times_ms)
    return said


def _windows(quiet: Quiet) -> Iterator[Columns]:
    world = World(quiet.seed, BASELINE_END_MS, quiet.per_second, chance=quiet.seed + OTHER_CHANCE)
    windows = DAYS * WINDOWS_A_DAY
    each = quiet.records // windows
    for window in range(windows):
        # Each at another time of the day.
        world.skip_to(BASELINE_END_MS + window * DAY_MS // WINDOWS_A_DAY + window * DAY_MS // (windows * WINDOWS_A_DAY))
        left = each
        while left:
            columns = world.draw(min(left, 4096))
            left -= len(columns.times_ms)
            yield widened(columns, quiet.seed + OTHER_CHANCE)


def _firings(step: DetectStep, messages: list[RawMessage]) -> list[Drift]:
    return [
        drift
        for drift in read_drifts(step.step(messages))
        if drift.state == "firing" and drift.tier != "cause" and drift.signal not in NOT_COUNTED
    ]


def _count_ours(said: Silence, found: list[tuple[int, Drift]]) -> None:
    rows: dict[tuple[str, str], list[int]] = {}
    times_ms: dict[tuple[str, str], list[int]] = {}
    for row, drift in found:
        said.fired[drift.tier] += 1
        said.which.append(f"{drift.tier} {drift.signal} {drift.channel} {drift.segment}".rstrip())
        key = (drift.tier, drift.signal)
        rows.setdefault(key, []).append(row)
        times_ms.setdefault(key, []).append(drift.detected_at)
    for (tier, _), own in rows.items():
        said.incidents[tier] += merged(own, MERGE_RECORDS)
    for (tier, _), own in times_ms.items():
        said.hourly[tier] += merged(sorted(own), MERGE_MS)


def _count_rivers(said: Silence, column: Floats, times_ms: NDArray[np.int64]) -> None:
    carried = ~np.isnan(column)
    times_ms = times_ms[carried]
    for each in alarms(column[carried]):
        said.river_alarms[each.detector] += len(each.rows)
        said.rivers[each.detector] += merged(each.rows, MERGE_RECORDS)
        said.rivers_hourly[each.detector] += merged(times_ms[each.rows].tolist(), MERGE_MS)


def merged(places: list[int], within: int) -> int:
    """How many incidents alarms are, those within so much of the one before being of it.

    >>> merged([0, 999, 1998, 5000], 1000)
    2
    >>> merged([], 1000)
    0
    """
    return len(places) and 1 + int(np.count_nonzero(np.diff(places) >= within))


def null_report(said: list[Silence]) -> dict[str, Any]:
    """The figures of the suite."""
    signal_records = sum(each.signal_records for each in said)
    looks = sum(each.looks for each in said)
    per_10m = 1e7 / max(1, signal_records)
    rivers = {name: sum(each.rivers[name] for each in said) * per_10m for name in DETECTORS}
    above = {level: sum(each.above[level] for each in said) / max(1, looks) for level in LEVELS}
    return {
        "signal_records": signal_records,
        "records": sum(each.records for each in said),
        "seeds": [each.seed for each in said],
        "page_false_incidents": sum(each.incidents["page"] for each in said),
        "ticket_false_incidents": sum(each.incidents["ticket"] for each in said),
        "page_firings": sum(each.fired["page"] for each in said),
        "ticket_firings": sum(each.fired["ticket"] for each in said),
        "ticket_per_10m": sum(each.incidents["ticket"] for each in said) * per_10m,
        "river_adwin_per_10m": rivers["river_adwin"],
        "river_page_hinkley_per_10m": rivers["river_page_hinkley"],
        "merged_within_an_hour": {
            "page_false_incidents": sum(each.hourly["page"] for each in said),
            "ticket_false_incidents": sum(each.hourly["ticket"] for each in said),
            **{f"{name}_per_10m": sum(each.rivers_hourly[name] for each in said) * per_10m for name in DETECTORS},
        },
        "river_alarms": {name: sum(each.river_alarms[name] for each in said) for name in DETECTORS},
        "always_fire_per_10m": 1e7 / MERGE_RECORDS,
        "never_fire_per_10m": 0.0,
        "exceedance": {
            f"{level:g}": {"measured": above[level], "bound": BETS * float(np.exp(-level))} for level in LEVELS
        },
        "which": sorted(Counter(name for each in said for name in each.which).items()),
        "services": [each.to_json() for each in said],
    }
