"""Throughput ratio: requests in ten seconds relative to the mean of the preceding ten minutes.

A daily cycle has little effect on it.
"""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

BUCKET_PANES = 10
"""Number of panes (seconds) per observation."""

HISTORY = 60
"""Number of observations in the reference. Higher values make the ratio steadier, but slow changes then look like
drops."""

HISTORY_MIN = 30
"""Minimum number of observations before a ratio is computed."""


class ThroughputRatio:
    """Ratio of the current request rate of a stream to its recent mean.

    The ratio of a ten-second bucket is written to the first record after it. A gap counts as one observation, which is
    the mean over all seconds since the start of the last bucket with a record.
    """

    def __init__(self) -> None:
        self._bucket: int | None = None
        self._count = 0
        self._history: deque[float] = deque(maxlen=HISTORY)

    def fill(self, column: NDArray[np.float64], panes: NDArray[np.int64], is_request: NDArray[np.bool_]) -> None:
        """Write the ratios to a column and leave its other rows unchanged.

        Parameters
        ----------
        column, panes, is_request
            Shape ``(R,)``: the column to write to, the panes of the records, and a mask of the requests.
        """
        if not panes.size:
            return
        if self._bucket == int(panes[-1]) // BUCKET_PANES:
            self._count += int(np.count_nonzero(is_request))
            return
        buckets = panes // BUCKET_PANES
        starts = np.flatnonzero(np.diff(buckets, prepend=buckets[0] if self._bucket is None else self._bucket))
        counts = np.add.reduceat(is_request, [0, *starts.tolist()], dtype=np.int64).tolist()
        if starts.size and starts[0] == 0:
            # For an empty range, reduceat returns an element instead of 0.
            counts[0] = 0
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
