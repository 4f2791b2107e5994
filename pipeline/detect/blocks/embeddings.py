"""Embeddings: how like those of its baseline an input's is. It falls where another embedding model answers, or inputs move."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.intake import OUT_OF_BOUNDS, TOO_LONG, WRONG_TYPE

SETTLING_RECORDS = 200
"""Embeddings whose mean direction is the centroid."""

DIMENSIONS_MAX = 4096
"""Numbers of an embedding; a longer one is not used."""


class Embeddings:
    """Cosines to a centroid, which is settled by the first 200 embeddings or by a baseline.

    An embedding of another length comes from another model and has nothing in common with the centroid: its cosine is 0.
    """

    def __init__(self) -> None:
        self._sum: NDArray[np.float64] = np.zeros(0)
        self._count = 0
        self._centroid: NDArray[np.float64] | None = None

    @property
    def centroid(self) -> list[float] | None:
        """The direction that embeddings are compared with, of length 1; None until it is settled."""
        return None if self._centroid is None else [float(f"{number:.6g}") for number in self._centroid.tolist()]

    def reset_centroid(self) -> None:
        """Forget what is usual: embeddings of a new model are to be the normal."""
        self._centroid, self._sum, self._count = None, np.zeros(0), 0

    def follow(self, centroid: Sequence[float]) -> None:
        """Compare with a baseline's centroid from now on."""
        direction = _unit(list(centroid))
        if not isinstance(direction, str):
            self._centroid, self._sum, self._count = direction, np.zeros(0), 0

    def similarities(self, embeddings: Sequence[Any]) -> tuple[NDArray[np.float64], Counter[str]]:
        """The cosine of each, and how many are not used, by reason; NaN where there is none, or before it is settled."""
        found = np.full(len(embeddings), np.nan)
        unused: Counter[str] = Counter()
        for row, embedding in enumerate(embeddings):
            if embedding is None:
                continue
            direction = _unit(embedding)
            if isinstance(direction, str):
                unused[direction] += 1
            elif self._centroid is None:
                self._settle_by(direction)
            elif direction.size == self._centroid.size:
                found[row] = min(1.0, max(-1.0, float(direction @ self._centroid)))
            else:
                found[row] = 0.0
        return found, unused

    def dump(self) -> dict[str, Any]:
        """What :meth:`load` needs."""
        return {"sum": self._sum.copy(), "count": self._count, "centroid": self._centroid}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave."""
        self._sum, self._count = np.array(state["sum"], dtype=np.float64), state["count"]
        self._centroid = None if state["centroid"] is None else np.array(state["centroid"], dtype=np.float64)

    def _settle_by(self, direction: NDArray[np.float64]) -> None:
        if self._sum.size != direction.size:
            self._sum, self._count = np.zeros(direction.size), 0
        self._sum += direction
        self._count += 1
        if self._count >= SETTLING_RECORDS:
            mean = _unit(self._sum)
            self._centroid = None if isinstance(mean, str) else mean
            self._sum, self._count = np.zeros(0), 0


def _unit(embedding: Any) -> NDArray[np.float64] | str:
    """The direction of an embedding, of length 1, or why it has none."""
    if len(embedding) > DIMENSIONS_MAX:
        return TOO_LONG
    try:
        numbers = np.asarray(embedding)
    except (ValueError, OverflowError):
        return WRONG_TYPE
    if numbers.ndim != 1 or not numbers.size or numbers.dtype.kind not in "fiu":
        return WRONG_TYPE
    vector = numbers.astype(np.float64)
    largest = float(np.abs(vector).max())
    if not 0.0 < largest < np.inf:
        return OUT_OF_BOUNDS
    # Scaled first, so that no square can overflow or vanish.
    scaled = vector / largest
    return scaled / float(np.linalg.norm(scaled))
