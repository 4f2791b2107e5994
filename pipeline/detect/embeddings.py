"""Embeddings: how like those of its baseline an input's is. It falls where another embedding model answers, or inputs move."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SETTLING_RECORDS = 200
"""Embeddings whose mean direction is the centroid."""

DIMENSIONS_MAX = 4096


class Embeddings:
    """Cosines to a centroid, which is settled by the first 200 embeddings or by a baseline."""

    def __init__(self) -> None:
        self._sum: NDArray[np.float64] = np.zeros(0)
        self._count = 0
        self._centroid: NDArray[np.float64] | None = None

    @property
    def centroid(self) -> list[float] | None:
        """The direction that embeddings are compared with, of length 1; None until it is settled."""
        return None if self._centroid is None else [float(f"{number:.6g}") for number in self._centroid.tolist()]

    def follow(self, centroid: Sequence[float]) -> None:
        """Compare with a baseline's centroid from now on."""
        direction = _unit(centroid)
        if direction is not None:
            self._centroid, self._sum, self._count = direction, np.zeros(0), 0

    def similarities(self, embeddings: Sequence[Any]) -> NDArray[np.float64]:
        """The cosine of each, NaN where there is none: none sent, of another length, not finite, or before it is settled."""
        found = np.full(len(embeddings), np.nan)
        for row, embedding in enumerate(embeddings):
            if embedding is None:
                continue
            direction = _unit(embedding)
            if direction is None:
                continue
            if self._centroid is not None:
                if direction.size == self._centroid.size:
                    found[row] = min(1.0, max(-1.0, float(direction @ self._centroid)))
                continue
            if self._sum.size != direction.size:
                self._sum, self._count = np.zeros(direction.size), 0
            self._sum += direction
            self._count += 1
            if self._count >= SETTLING_RECORDS:
                self._centroid = _unit(self._sum)
                self._sum, self._count = np.zeros(0), 0
        return found

    def dump(self) -> dict[str, Any]:
        """What :meth:`load` needs."""
        return {"sum": self._sum.copy(), "count": self._count, "centroid": self._centroid}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave."""
        self._sum, self._count = np.array(state["sum"], dtype=np.float64), state["count"]
        self._centroid = None if state["centroid"] is None else np.array(state["centroid"], dtype=np.float64)


def _unit(embedding: Any) -> NDArray[np.float64] | None:
    """The direction of an embedding, of length 1; None if it has none."""
    try:
        vector = np.asarray(embedding, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if vector.ndim != 1 or not 0 < vector.size <= DIMENSIONS_MAX or not np.isfinite(vector).all():
        return None
    size = float(np.linalg.norm(vector))
    return vector / size if 0.0 < size < np.inf else None
