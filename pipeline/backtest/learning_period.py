"""The learning period of a backtest: the first part of the records, from which baselines are learned."""

from dataclasses import dataclass, field

import numpy as np

from pipeline.wording import duration
from schemas.timestamp import date_time

SAMPLES_MAX = 20_000
"""Maximum number of stored times. Beyond it, every second time is dropped, and half as many are added."""

OUTLIER_SHARE = 0.001
"""Share of the earliest and of the latest times that is ignored, because clocks of senders can be wrong."""

UNORDERED_LAG = 0.1
"""Share of the time of all records that a record must be behind an earlier record to be out of order."""

UNORDERED_SHARE = 0.25
"""Share of records out of order above which the records are refused."""


@dataclass(slots=True)
class RecordTimes:
    """Evenly spread sample of the times of records, in bounded memory.

    Attributes
    ----------
    records
        Number of records that were added.
    """

    records: int = 0
    _stride: int = 1
    _times_ms: list[int] = field(default_factory=list)

    def add(self, time_ms: int) -> None:
        """Add the time of a record in Unix ms. 0 stands for an unknown time."""
        if time_ms and self.records % self._stride == 0:
            self._times_ms.append(time_ms)
            if len(self._times_ms) > SAMPLES_MAX:
                del self._times_ms[1::2]
                self._stride *= 2
        self.records += 1

    def span(self) -> tuple[int, int] | None:
        """Return the first and the last time in Unix ms, without outliers, or None if no record has a time."""
        if not self._times_ms:
            return None
        quantiles = np.quantile(self._times_ms, (OUTLIER_SHARE, 1 - OUTLIER_SHARE), method="nearest")
        return int(quantiles[0]), int(quantiles[1])

    def is_unordered(self) -> bool:
        """Return whether many records come long after records with later times, such as in a file with the newest first.

        >>> times = RecordTimes()
        >>> for time_ms in range(9000, 1000, -1):
        ...     times.add(time_ms)
        >>> times.is_unordered()
        True
        """
        span = self.span()
        if span is None:
            return False
        times_ms = np.array(self._times_ms)
        times_ms = times_ms[(span[0] <= times_ms) & (times_ms <= span[1])]
        lag_ms = np.maximum.accumulate(times_ms) - times_ms
        return bool(np.mean(lag_ms > UNORDERED_LAG * (span[1] - span[0])) > UNORDERED_SHARE)


@dataclass(frozen=True, slots=True)
class LearningPeriod:
    """The period from which baselines are learned, and how it was chosen.

    ``until_ms`` is None if nothing is learned, because baselines are given.
    """

    until_ms: int | None
    reason: str

    @classmethod
    def choose(
        cls, span: tuple[int, int], ready_after_s: float, *, given_after_s: float | None, until_ms: int | None
    ) -> "LearningPeriod":
        """Choose the period.

        Parameters
        ----------
        span
            First and last time of the records, in Unix ms.
        ready_after_s
            Setting of the detect step. Without an explicit choice, a baseline is learned from this time, but at most
            from the first half of the records.
        given_after_s, until_ms
            Explicit choices of the user: a length in seconds, or an end in Unix ms.

        >>> LearningPeriod.choose((0, 7_200_000), 86_400, given_after_s=None, until_ms=None).until_ms
        3600000
        """
        first, last = span
        if until_ms is not None:
            return cls(until_ms, f"until {date_time(until_ms)}, as given")
        if given_after_s is not None:
            return cls(first + round(given_after_s * 1000), f"the first {duration(given_after_s)}, as given")
        half_s = (last - first) / 2000
        if half_s < ready_after_s:
            return cls(first + round(half_s * 1000), f"the first half of the time, {duration(half_s)}")
        return cls(first + round(ready_after_s * 1000), f"the first {duration(ready_after_s)}")
