"""Throughput ratio: requests in ten seconds relative to the mean of the preceding ten minutes.

A daily cycle has little effect on it. A request with a sampling probability counts as 1 / probability requests.
"""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.admission import Records

BUCKET_PANES = 10
"""Number of panes (seconds) per observation."""

HISTORY = 60
"""Number of observations in the reference. Higher values make the ratio steadier, but slow changes then look like
drops."""

HISTORY_MIN = 30
"""Minimum number of observations before a ratio is computed."""


WEIGHT_UNIT = 2.0**-16
"""Weights are rounded to a multiple of this unit. Sums of such weights are exact in float64, so the ratio does not
depend on the order in which records are added."""


def request_weights(records: Records) -> NDArray[np.float64] | None:
    """Return the number of requests that each record represents, or None if each represents one request.

    A record without a sampling probability represents one request. If it was sampled by outcome, the number is unknown,
    and the weight is NaN. No ratio is computed from such records.

    Returns
    -------
    numpy.ndarray or None
        Shape ``(R,)``.
    """
    sampled, probabilities = records.labels.get("sampled"), records.sampling_probabilities
    is_sampled = None if sampled is None else np.array([label is not None for label in sampled], dtype=np.bool_)
    if probabilities is None and (is_sampled is None or not is_sampled.any()):
        return None
    weights = np.ones(len(records)) if is_sampled is None else np.where(is_sampled, np.nan, 1.0)
    if probabilities is None:
        return weights
    rounded = np.round(1.0 / probabilities / WEIGHT_UNIT) * WEIGHT_UNIT
    return np.where(np.isnan(probabilities), weights, rounded)


class ThroughputRatio:
    """Ratio of the current request rate of a stream to its recent mean.

    The ratio of a ten-second bucket is written to the first record after it. A gap counts as one observation, which is
    the mean over all seconds since the start of the last bucket with a record.
    """

    def __init__(self) -> None:
        self._bucket: int | None = None
        self._count = 0.0
        self._history: deque[float] = deque(maxlen=HISTORY)

    def fill(
        self,
        column: NDArray[np.float64],
        panes: NDArray[np.int64],
        is_request: NDArray[np.bool_],
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        """Write the ratios to a column and leave its other rows unchanged.

        Parameters
        ----------
        column, panes, is_request
            Shape ``(R,)``: the column to write to, the panes of the records, and a mask of the requests.
        weights
            Shape ``(R,)``: weights of the records from :func:`request_weights`. None if every weight is 1.
        """
        if not panes.size:
            return
        represented = is_request if weights is None else np.where(is_request, weights, 0.0)
        if self._bucket == int(panes[-1]) // BUCKET_PANES:
            self._count += float(np.count_nonzero(represented) if weights is None else represented.sum())
            return
        buckets = panes // BUCKET_PANES
        starts = np.flatnonzero(np.diff(buckets, prepend=buckets[0] if self._bucket is None else self._bucket))
        counts = np.add.reduceat(represented, [0, *starts.tolist()], dtype=np.float64).tolist()
        if starts.size and starts[0] == 0:
            # For an empty range, reduceat returns an element instead of 0.
            counts[0] = 0.0
        if self._bucket is None:
            self._bucket = int(buckets[0])
        self._count += counts[0]
        for start, count in zip(starts.tolist(), counts[1:], strict=True):
            requests = self._count / (int(buckets[start]) - self._bucket)
            if len(self._history) >= HISTORY_MIN:
                mean = sum(self._history) / len(self._history)
                if mean > 0.0:
                    column[start] = requests / mean
            self._history.append(requests)
            self._bucket, self._count = int(buckets[start]), count

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {"bucket": self._bucket, "count": self._count, "history": list(self._history)}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the counts."""
        self._bucket, self._count = state["bucket"], state["count"]
        self._history = deque(state["history"], maxlen=HISTORY)
