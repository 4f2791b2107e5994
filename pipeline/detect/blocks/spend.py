"""Spend ratio: the cost of all requests in ten seconds relative to the mean of the preceding hour.

It rises if each request costs more, and also if there are more requests at the same price. A request with a sampling
probability counts as 1 / probability requests. A request without a cost is not counted.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.admission import Records
from pipeline.detect.blocks.rate_ratio import RateRatio
from pipeline.detect.signals import catalogue

HISTORY = 360
"""Number of observations in the reference: one hour."""

HISTORY_MIN = 180
"""Minimum number of observations before a ratio is computed."""

RESOLUTION = 0.5
"""Ratios are rounded to a multiple of this value. In an hour, a daily cycle changes the spend by less than half of it.
Without rounding, the cycle is the largest change in a stream with many requests, and the ratio would have to leave the
range of the cycle to be found. Higher values find larger changes only."""

_COST, _SPEND_RATIO = catalogue.SIGNAL_INDEX["cost"], catalogue.SIGNAL_INDEX["spend_ratio"]


class SpendRatio(RateRatio):
    """Ratio of what a stream spends per second to its mean over the preceding hour, in steps of a half."""

    def __init__(self) -> None:
        super().__init__(HISTORY, HISTORY_MIN)

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
