"""Whether what is harmless would have provoked a simpler rule: if it does not, our silence about it proves nothing."""

from collections.abc import Iterator

import numpy as np
import orjson

from load.score.simulation import Disturbance, Scenario, Where, begins_ms, stream
from load.score.suites.river_detectors import DETECTORS, alarms_of, three_sigma
from schemas.baseline import Baseline
from schemas.timestamp import parse_timestamp

MINUTE_MS = 60_000
USUAL_HOUR, USUAL_DAY = 9.0, 1
"""When levels are what they are on average over the baseline's day."""

RECORDS = "records a minute"


def provoked(scenario: Scenario, seed: int, baseline: Baseline) -> tuple[str, ...]:
    """The simpler rules that fire for what happens, and for a signal for which they do not fire where it does not happen.

    River's detectors, and three standard errors of a minute's mean, fire on a healthy service as well: on the same
    records without the event whatever they say is not about it. Always-fire is provoked by its nature; of the others
    the first is looked for, the cheapest first.
    """
    arrivals = _Arrivals(scenario, seed), _Arrivals(without_event(scenario), seed)
    for rule in ("three_sigma", *sorted(DETECTORS, reverse=True)):
        for name in arrivals[0].names(baseline):
            if arrivals[0].fires(rule, name, baseline) and not arrivals[1].fires(rule, name, baseline):
                return "always_fire", rule
    return ("always_fire",)


def without_event(scenario: Scenario) -> Scenario:
    """The same service, to which nothing happens; if all that happens is the hour, then at another."""
    is_hour = not scenario.touch and not scenario.traffic and scenario.messages == Disturbance()
    usual = {"hour": USUAL_HOUR, "day": USUAL_DAY} if is_hour else {}
    nothing = {"touch": (), "traffic": (), "messages": Disturbance(), "where": Where()}
    return scenario.model_copy(update=nothing | usual)


class _Arrivals:
    """What one who reads messages as they arrive would see: of each signal its values, and when they were."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        times: list[int] = []
        values: dict[str, list[tuple[int, float]]] = {}
        for part in stream(scenario, seed):
            for line in part.lines:
                record = orjson.loads(line)
                for name, value in _numbers(record):
                    values.setdefault(name, []).append((len(times), value))
                times.append(parse_timestamp(record["timestamp"]))
        self._times_ms = np.array(times, dtype=np.int64)
        self._first = int(np.argmax(self._times_ms >= begins_ms(scenario, seed)))
        self._values = {
            name: (np.array([row for row, _ in pairs]), np.array([value for _, value in pairs]))
            for name, pairs in values.items()
        }

    def names(self, baseline: Baseline) -> Iterator[str]:
        """The signals that a simple rule could look at."""
        yield RECORDS
        yield from (name for name in self._values if name in baseline.signals)

    def fires(self, rule: str, name: str, baseline: Baseline) -> bool:
        """Whether a rule fires for a signal after the change."""
        if name == RECORDS:
            return rule == "three_sigma" and self._is_another_number()
        if name not in self._values:
            return False
        rows, column = self._values[name]
        before = int(np.count_nonzero(rows < self._first))
        if rule != "three_sigma":
            return any(row >= before for row in alarms_of(rule, column))
        mean = baseline.signals[name].mean
        if mean is None or before < 2 or before == column.size:
            return False
        return bool(three_sigma(column[before:], self._times_ms[rows[before:]], mean, float(column[:before].std())))

    def _is_another_number(self) -> bool:
        """Whether some whole minute holds another number of records than those before the change on average."""
        minutes, counts = np.unique(self._times_ms // MINUTE_MS, return_counts=True)
        minutes, counts = minutes[1:-1], counts[1:-1]
        is_after = minutes >= self._times_ms[self._first] // MINUTE_MS
        if is_after.all():
            return False
        usual = float(counts[~is_after].mean())
        return bool((np.abs(counts[is_after] - usual) > 3.0 * usual**0.5).any())


def _numbers(record: dict[str, object]) -> Iterator[tuple[str, float]]:
    for section in record.values():
        if isinstance(section, dict):
            for name, value in section.items():
                if isinstance(value, bool | int | float):
                    yield name, float(value)
