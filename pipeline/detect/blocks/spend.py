"""Spend ratio: the cost of all requests in ten seconds relative to the mean of the preceding hour.

What is usually spent at this time of day, such as by a nightly batch, is the reference instead if it is more.

It rises if each request costs more, and also if there are more requests at the same price. A request with a sampling
probability counts as 1 / probability requests. A request without a cost is not counted.
"""

from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.admission import Records
from pipeline.detect.blocks.rate_ratio import BUCKET_PANES, RateRatio
from pipeline.detect.signals import catalogue

HISTORY = 360
"""Number of observations in the reference: one hour."""

HISTORY_MIN = 180
"""Minimum number of observations before a ratio is computed."""

RESOLUTION = 0.5
"""Ratios are rounded to a multiple of this value. In an hour, a daily cycle changes the spend by less than half of it.
Without rounding, the cycle is the largest change in a stream with many requests, and the ratio would have to leave the
range of the cycle to be found. Higher values find larger changes only."""

PEAK_OBSERVATIONS = 60
"""Number of consecutive observations whose mean is what an hour spends at its peak: ten minutes."""

DAYS_MAX = 8
"""Number of days for which the peaks of the hours are remembered."""

SECOND_FROM_DAYS = 3
"""Number of days from which the second highest peak is what is usually spent, so that one failure does not hide the next."""

HOUR_BUCKETS, HOURS = 3600 // BUCKET_PANES, 24

_COST, _SPEND_RATIO = catalogue.SIGNAL_INDEX["cost"], catalogue.SIGNAL_INDEX["spend_ratio"]


class SpendRatio(RateRatio):
    """Ratio of what a stream spends per second to its reference, in steps of a half.

    The reference is the mean over the preceding hour, or what is usually spent within an hour of this time of day if that
    is more: the second highest peak of the last eight days.
    """

    def __init__(self) -> None:
        super().__init__(HISTORY, HISTORY_MIN)
        self._peaks: dict[int, float] = {}
        self._usual: tuple[int, float] | None = None

    def fill(self, records: Records, weights: NDArray[np.float64] | None) -> None:
        """Write the ratios to the column ``spend_ratio``. Only records that carry a cost are observed.

        Parameters
        ----------
        records
            Records with panes, in order of arrival.
        weights
            Shape ``(R,)``: the number of requests that each record represents. None if every weight is 1.
        """
        if not records.may_carry(_COST):
            return
        rows = np.flatnonzero(~np.isnan(records.values[:, _COST]))
        if not rows.size:
            return
        costs = records.values[rows, _COST]
        ratios = np.full(rows.size, np.nan)
        self.write_ratios(ratios, records.panes[rows], costs if weights is None else costs * weights[rows])
        records.values[rows, _SPEND_RATIO] = np.round(ratios / RESOLUTION) * RESOLUTION

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return super().dump() | {"peaks": [[hour, peak] for hour, peak in self._peaks.items()]}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned."""
        super().load(state)
        # Checkpoints from before the peaks do not contain them.
        self._peaks, self._usual = {int(hour): float(peak) for hour, peak in state.get("peaks", ())}, None

    def _reference(self) -> float:
        return max(super()._reference(), self._usual_peak((self._bucket or 0) // HOUR_BUCKETS))

    def _record(self, rate: float) -> None:
        super()._record(rate)
        hour = (self._bucket or 0) // HOUR_BUCKETS
        if hour not in self._peaks:
            self._peaks = {other: peak for other, peak in self._peaks.items() if other > hour - DAYS_MAX * HOURS - 2}
            self._peaks[hour] = 0.0
        if len(self._history) >= PEAK_OBSERVATIONS:
            newest = islice(reversed(self._history), PEAK_OBSERVATIONS)
            self._peaks[hour] = max(self._peaks[hour], sum(newest) / PEAK_OBSERVATIONS)

    def _usual_peak(self, hour: int) -> float:
        """Return what is usually spent per second at the time of day of an hour, at its peak, or 0 if it is not known."""
        if self._usual is None or self._usual[0] != hour:
            peaks = (
                max(self._peaks.get(hour - day * HOURS + near, 0.0) for near in (-1, 0, 1))
                for day in range(1, DAYS_MAX + 1)
            )
            highest = sorted((peak for peak in peaks if peak > 0.0), reverse=True)
            usual = highest[int(len(highest) >= SECOND_FROM_DAYS)] if highest else 0.0
            self._usual = hour, usual
        return self._usual[1]
