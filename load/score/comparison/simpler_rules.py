"""Simpler rules that a harmless scenario should trigger. If it triggers none, the absence of drifts proves nothing."""

from collections.abc import Iterator

import numpy as np
import orjson

from load.score.comparison.river_detectors import DETECTORS, MINUTE_MS, deviating_minutes, run_detector
from load.score.simulation import Scenario, generate_stream
from schemas.baseline import Baseline
from schemas.timestamp import parse_timestamp

THREE_SIGMA = "three_sigma"
ALWAYS_FIRE = "always_fire"

RECORDS_PER_MINUTE = "records a minute"
"""Name of the signal that counts records."""


def find_provoked_rules(scenario: Scenario, seed: int, baseline: Baseline) -> tuple[str, ...]:
    """Return the rules that the event of a scenario triggers: always-fire, and the first of the other rules.

    The event triggers a rule if the rule fires for a signal on the stream with the event, but not on the stream without
    it. River's detectors and the three-sigma rule also fire on healthy services, so an alarm alone proves nothing. The
    cheapest rule is tried first.
    """
    with_event, without_event = _ArrivingValues(scenario, seed), _ArrivingValues(scenario.without_event(), seed)
    for rule in (THREE_SIGMA, *sorted(DETECTORS, reverse=True)):
        for name in with_event.names(baseline):
            if with_event.fires(rule, name, baseline) and not without_event.fires(rule, name, baseline):
                return ALWAYS_FIRE, rule
    return (ALWAYS_FIRE,)


class _ArrivingValues:
    """Values of each signal with their times, in arrival order."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        times_ms: list[int] = []
        values: dict[str, list[tuple[int, float]]] = {}
        for part in generate_stream(scenario, seed):
            for line in part.lines:
                record = orjson.loads(line)
                for name, value in _read_numbers(record):
                    values.setdefault(name, []).append((len(times_ms), value))
                times_ms.append(parse_timestamp(record["timestamp"]))
        self._times_ms = np.array(times_ms, dtype=np.int64)
        self._first = int(np.argmax(self._times_ms >= scenario.change_ms(seed)))
        self._values = {
            name: (np.array([row for row, _ in pairs]), np.array([value for _, value in pairs]))
            for name, pairs in values.items()
        }

    def names(self, baseline: Baseline) -> Iterator[str]:
        """Yield the signals that a rule can monitor."""
        yield RECORDS_PER_MINUTE
        yield from (name for name in self._values if name in baseline.signals)

    def fires(self, rule: str, name: str, baseline: Baseline) -> bool:
        """Return whether a rule fires for a signal after the change."""
        if name == RECORDS_PER_MINUTE:
            return rule == THREE_SIGMA and self._has_other_record_count()
        if name not in self._values:
            return False
        rows, column = self._values[name]
        before = int(np.count_nonzero(rows < self._first))
        if rule != THREE_SIGMA:
            return any(row >= before for row in run_detector(rule, column))
        mean = baseline.signals[name].mean
        if mean is None or before < 2 or before == column.size:
            return False
        deviation = float(column[:before].std())
        return bool(deviating_minutes(column[before:], self._times_ms[rows[before:]], mean, deviation))

    def _has_other_record_count(self) -> bool:
        """Return whether the record count of a full minute after the change deviates from the mean before it."""
        minutes, counts = np.unique(self._times_ms // MINUTE_MS, return_counts=True)
        minutes, counts = minutes[1:-1], counts[1:-1]
        is_after = minutes >= self._times_ms[self._first] // MINUTE_MS
        if is_after.all():
            return False
        mean = float(counts[~is_after].mean())
        return bool((np.abs(counts[is_after] - mean) > 3.0 * mean**0.5).any())


def _read_numbers(record: dict[str, object]) -> Iterator[tuple[str, float]]:
    for section in record.values():
        if isinstance(section, dict):
            for name, value in section.items():
                if isinstance(value, bool | int | float):
                    yield name, float(value)
