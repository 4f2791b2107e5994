"""Rate ratio: the rate of an amount in ten seconds relative to its mean in the preceding observations."""

from collections import deque
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

BUCKET_PANES = 10
"""Number of panes (seconds) per observation."""


class RateRatio:
    """Ratio of the current rate of an amount to its recent mean.

    The ratio of a ten-second bucket is written to the first record after it. A gap counts as one observation, which is
    the mean over all seconds since the start of the last bucket with a record.

    Parameters
    ----------
    history
        Number of observations in the reference. Higher values make the ratio steadier, but slow changes then look like
        sudden ones.
    history_min
        Minimum number of observations before a ratio is computed.
    amount_min
        Minimum amount that ten seconds of the reference contain. With less, no ratio is computed.
    """

    def __init__(self, history: int, history_min: int, amount_min: float = 0.0) -> None:
        self._history_min, self._rate_min = history_min, amount_min / BUCKET_PANES
        self._bucket: int | None = None
        self._total = 0.0
        self._history: deque[float] = deque(maxlen=history)

    def write_ratios(
        self, column: NDArray[np.float64], panes: NDArray[np.int64], amounts: NDArray[np.bool_] | NDArray[np.float64]
    ) -> None:
        """Write the ratios to a column and leave its other rows unchanged.

        Parameters
        ----------
        column, panes, amounts
            Shape ``(R,)``: the column to write to, the panes of the records, and the amount of each record. An amount
            that is not known is NaN. No ratio is computed from it.
        """
        if not panes.size:
            return
        if self._bucket == int(panes[-1]) // BUCKET_PANES:
            self._total = _add_in_order(self._total, amounts)
            return
        buckets = panes // BUCKET_PANES
        starts = np.flatnonzero(np.diff(buckets, prepend=buckets[0] if self._bucket is None else self._bucket))
        bounds = [*starts.tolist(), panes.size]
        if self._bucket is None:
            self._bucket = int(buckets[0])
        self._total = _add_in_order(self._total, amounts[: bounds[0]])
        for start, end in pairwise(bounds):
            rate = self._total / (int(buckets[start]) - self._bucket)
            if len(self._history) >= self._history_min:
                reference = self._reference()
                if reference > 0.0 and reference >= self._rate_min:
                    column[start] = rate / reference
            self._record(rate)
            self._bucket, self._total = int(buckets[start]), _add_in_order(0.0, amounts[start:end])

    def _reference(self) -> float:
        """Return the rate with which the current bucket is compared."""
        return sum(self._history) / len(self._history)

    def _record(self, rate: float) -> None:
        """Add the rate of the current bucket to the history."""
        self._history.append(rate)

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {"bucket": self._bucket, "count": self._total, "history": list(self._history)}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned."""
        self._bucket, self._total = state["bucket"], state["count"]
        self._history = deque(state["history"], maxlen=self._history.maxlen)


def _add_in_order(total: float, amounts: NDArray[np.bool_] | NDArray[np.float64]) -> float:
    """Return the sum of a total and amounts. It is added in order, so it does not depend on where batches end."""
    if amounts.dtype == np.bool_:
        return total + float(np.count_nonzero(amounts))
    return reduce(add, amounts.tolist(), total)
