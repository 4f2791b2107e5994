"""The records of the last minutes of one signal, and whether a statistic of them is beyond a limit."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, ndtri

from pipeline.detect.signal_rule import ValueLimit
from pipeline.detect.statistics import Quantiles

MINUTES_MAX = 24 * 60
"""Maximum length of a window in minutes. A signal with too few records in a day is not compared with its limits."""

RECORDS_MIN = 20
"""Minimum number of records for a share."""

RECORDS_MIN_MEAN = 100
"""Minimum number of records for the mean of a value, whose distribution is not known."""

EVENTS = 15
"""Number of records that would be beyond the limit if the statistic were at the limit. A window grows until it has so
many records."""

RECORDS_MAX = 5000
"""Number of records beyond which a window does not grow, for limits near 0 or 1."""

CHANCE = 1e-5
"""Largest probability that a statistic within its limit seems to be beyond it in a window. A statistic that is exactly at
its limit breaks it a few times a year, because it is compared every minute."""

CHANCE_ERRORS = float(-ndtri(CHANCE))
"""Standard errors of a mean with this probability."""


class LimitReading(NamedTuple):
    """What a window says about its limit.

    Attributes
    ----------
    now
        The statistic, in the unit of the signal.
    records
        Number of records in the window.
    measured, allowed
        What is compared: the share of records beyond the limit with the share that may be, or the mean with the limit.
    is_beyond, is_clear
        Whether the statistic is beyond the limit, and whether this is no chance.
    """

    now: float
    records: int
    measured: float
    allowed: float
    is_beyond: bool
    is_clear: bool


@dataclass(slots=True)
class _LimitMinute:
    """The records of one minute. ``beyond`` counts those beyond the limit, or the events of a rate."""

    number: int
    records: int = 0
    beyond: int = 0
    total: float = 0.0
    squares: float = 0.0
    sketch: Quantiles | None = None


class LimitWindow:
    """The last minutes with records: as many as the limit asks for, and more if they have too few records.

    Parameters
    ----------
    limit
        The limit.
    is_rate
        Whether the signal is a rate.
    """

    def __init__(self, limit: ValueLimit, *, is_rate: bool) -> None:
        self._limit, self._is_rate = limit, is_rate
        self._minutes: list[_LimitMinute] = []
        self._records_wanted = self._find_records_wanted()

    @property
    def newest(self) -> int | None:
        """Number of the newest minute, or None without records."""
        return self._minutes[-1].number if self._minutes else None

    def add(self, minute: int, values: NDArray[np.float64]) -> None:
        """Add finite values, shape ``(N,)``, contiguous. Those of a minute before the newest one are added to the newest."""
        if self.newest is None or minute > self.newest:
            self._minutes.append(_LimitMinute(minute))
        part, limit = self._minutes[-1], self._limit
        part.records += values.size
        part.beyond += int(np.count_nonzero(self._find_beyond(values)))
        if limit.statistic == "mean":
            part.total += float(values.sum())
            part.squares += float(np.square(values).sum())
        else:
            part.sketch = part.sketch or Quantiles(1)
            part.sketch.add(values[:, None])

    def read(self) -> LimitReading | None:
        """Drop the minutes that are not needed, and compare the rest with the limit. Return None for too few records."""
        self._drop_oldest()
        records = sum(part.records for part in self._minutes)
        is_mean = self._limit.statistic == "mean"
        if records < (RECORDS_MIN_MEAN if is_mean and not self._is_rate else RECORDS_MIN):
            return None
        if is_mean and not self._is_rate:
            return self._read_mean(records)
        beyond, allowed = sum(part.beyond for part in self._minutes), self._allowed_share
        is_beyond = beyond > allowed * records
        # The probability of so many records beyond the limit, or more, if the share is what the limit allows.
        chance = float(betainc(beyond, records - beyond + 1, allowed)) if is_beyond else 1.0
        if is_mean:
            now = sum(part.total for part in self._minutes) / records
        else:
            now = self._estimate_percentile(is_beyond=is_beyond)
        return LimitReading(now, records, beyond / records, allowed, is_beyond, chance < CHANCE)

    def _read_mean(self, records: int) -> LimitReading:
        mean, limit = sum(part.total for part in self._minutes) / records, self._limit.value
        variance = max(0.0, sum(part.squares for part in self._minutes) / records - mean * mean)
        distance = mean - limit if self._limit.side == "up" else limit - mean
        is_clear = distance > CHANCE_ERRORS * math.sqrt(variance / records)
        return LimitReading(mean, records, mean, limit, distance > 0.0, is_clear)

    def start_of_breach(self) -> int:
        """Return the first of the newest minutes that are all beyond the limit, or the newest minute."""
        start = self._minutes[-1].number
        for part in reversed(self._minutes):
            if self._limit.statistic == "mean" and not self._is_rate:
                mean = part.total / part.records
                is_beyond = mean > self._limit.value if self._limit.side == "up" else mean < self._limit.value
            else:
                is_beyond = part.beyond > self._allowed_share * part.records
            if not is_beyond:
                break
            start = part.number
        return start

    def clear(self) -> None:
        """Remove all records after a gap."""
        self._minutes.clear()

    def dump(self) -> list[Any]:
        """Return the state."""
        return [
            [
                part.number,
                part.records,
                part.beyond,
                part.total,
                part.squares,
                None if part.sketch is None else part.sketch.dump(),
            ]
            for part in self._minutes
        ]

    def load(self, state: list[Any]) -> None:
        """Restore the state that :meth:`dump` returned."""
        self._minutes = []
        for *numbers, content in state:
            part = _LimitMinute(*numbers)
            if content is not None:
                part.sketch = Quantiles(1)
                part.sketch.load(content)
            self._minutes.append(part)

    @property
    def _allowed_share(self) -> float:
        """Share of the records that may be beyond the limit of a percentile, or be events, for a rate.

        If a rate must not fall below its limit, the events are the records without it.
        """
        if self._is_rate:
            return self._limit.value if self._limit.side == "up" else 1.0 - self._limit.value
        percentile = int(self._limit.statistic.removeprefix("p"))
        return (100 - percentile if self._limit.side == "up" else percentile) / 100

    def _find_records_wanted(self) -> int:
        if self._limit.statistic == "mean" and not self._is_rate:
            return RECORDS_MIN_MEAN
        rarer = min(self._allowed_share, 1.0 - self._allowed_share)
        return RECORDS_MAX if rarer <= EVENTS / RECORDS_MAX else math.ceil(EVENTS / rarer)

    def _find_beyond(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        if self._is_rate:
            return values > 0.5 if self._limit.side == "up" else values <= 0.5
        return values > self._limit.value if self._limit.side == "up" else values < self._limit.value

    def _estimate_percentile(self, *, is_beyond: bool) -> float:
        """Return the percentile, on the side of the limit on which the counts say that it is."""
        sketch = Quantiles(1)
        for part in self._minutes:
            if part.sketch is not None:
                sketch.merge(part.sketch)
        (estimate,) = sketch.estimate(0, (int(self._limit.statistic.removeprefix("p")) / 100,))
        limit, now = self._limit.value, self._limit.value if estimate is None else estimate
        return max(now, limit) if is_beyond == (self._limit.side == "up") else min(now, limit)

    def _drop_oldest(self) -> None:
        minutes = self._minutes
        records, dropped = sum(part.records for part in minutes), 0
        for oldest, second in pairwise(minutes):
            records -= oldest.records
            covers = minutes[-1].number - second.number + 1 >= self._limit.over_s // 60
            is_needed = not covers or records < self._records_wanted
            if is_needed and minutes[-1].number - oldest.number < MINUTES_MAX:
                break
            dropped += 1
        del minutes[:dropped]
