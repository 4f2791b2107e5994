"""Throughput against itself: requests of ten seconds over those of the ten minutes before. A daily cycle moves it little."""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

BUCKET_PANES = 10
"""Panes (seconds) of one observation."""

HISTORY = 60
"""Observations that it is compared with; more is steadier, and takes slow changes for drops."""

HISTORY_MIN = 30


class Throughput:
    """Counts a unit's requests. One observation stands on the first record after its ten seconds.

    A gap is one observation: the mean over all the seconds without a record, and those before.
    """

    def __init__(self) -> None:
        self._bucket: int | None = None
        self._count = 0
        self._history: deque[float] = deque(maxlen=HISTORY)

    def fill(self, column: NDArray[np.float64], panes: NDArray[np.int64], first: NDArray[np.bool_]) -> None:
        """Write the observations into a column that is NaN elsewhere.

        Parameters
        ----------
        column, panes, first
            Shape ``(R,)``: where to write, the panes of the records, and which of them are requests of their own.
        """
        if not panes.size:
            return
        if self._bucket == int(panes[-1]) // BUCKET_PANES:
            self._count += int(np.count_nonzero(first))
            return
        buckets = panes // BUCKET_PANES
        heads = np.flatnonzero(np.diff(buckets, prepend=buckets[0] if self._bucket is None else self._bucket))
        counts = np.add.reduceat(first, [0, *heads.tolist()], dtype=np.int64).tolist()
        if heads.size and heads[0] == 0:
            # reduceat gives the element itself where a part is empty.
            counts[0] = 0
        if self._bucket is None:
            self._bucket = int(buckets[0])
        self._count += counts[0]
        for head, count in zip(heads.tolist(), counts[1:], strict=True):
            observed = self._count / (int(buckets[head]) - self._bucket)
            if len(self._history) >= HISTORY_MIN:
                usual = sum(self._history) / len(self._history)
                if usual > 0.0:
                    column[head] = observed / usual
            self._history.append(observed)
            self._bucket, self._count = int(buckets[head]), count

    def dump(self) -> dict[str, Any]:
        """What :meth:`load` needs."""
        return {"bucket": self._bucket, "count": self._count, "history": list(self._history)}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave."""
        self._bucket, self._count = state["bucket"], state["count"]
        self._history = deque(state["history"], maxlen=HISTORY)
