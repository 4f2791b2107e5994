"""Embedding similarity. It falls if the embedding model changes or if the inputs change."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.fields import FaultReason

SETTLING_EMBEDDINGS = 200
"""Number of embeddings whose mean direction becomes the centroid."""

DIMENSIONS_MAX = 4096
"""Maximum length of an embedding. Longer embeddings are not used."""


class EmbeddingSimilarity:
    r"""Cosine similarity between each embedding :math:`x` and a centroid :math:`c`: :math:`x \cdot c / (|x| |c|)`.

    The centroid is the mean direction of the first 200 embeddings, or comes from a baseline. An embedding of another
    length comes from another model, so its similarity is 0.

    >>> similarity = EmbeddingSimilarity()
    >>> similarity.apply_centroid([2.0, 0.0])
    >>> similarity.compare([[3, 4], [5, 0, 0], None])[0]
    array([0.6, 0. , nan])
    """

    def __init__(self) -> None:
        self._sum: NDArray[np.float64] = np.zeros(0)
        self._count = 0
        self._centroid: NDArray[np.float64] | None = None

    @property
    def centroid(self) -> list[float] | None:
        """The centroid, scaled to length 1. It is None until it is fixed."""
        return None if self._centroid is None else [float(f"{number:.6g}") for number in self._centroid.tolist()]

    def reset_centroid(self) -> None:
        """Drop the centroid. The next embeddings define a new centroid."""
        self._centroid, self._sum, self._count = None, np.zeros(0), 0

    def apply_centroid(self, centroid: Sequence[float]) -> None:
        """Use the centroid of a baseline."""
        direction = _normalise(list(centroid))
        if not isinstance(direction, str):
            self._centroid, self._sum, self._count = direction, np.zeros(0), 0

    def compare(self, embeddings: Sequence[Any]) -> tuple[NDArray[np.float64], dict[int, FaultReason]]:
        """Return the similarities, and the reason for each unused embedding by row.

        A similarity is NaN without an embedding or centroid.
        """
        cosines = np.full(len(embeddings), np.nan)
        unused: dict[int, FaultReason] = {}
        for row, embedding in enumerate(embeddings):
            if embedding is None:
                continue
            direction = _normalise(embedding)
            if isinstance(direction, str):
                unused[row] = direction
            elif self._centroid is None:
                self._settle(direction)
            elif direction.size == self._centroid.size:
                cosines[row] = min(1.0, max(-1.0, float(direction @ self._centroid)))
            else:
                cosines[row] = 0.0
        return cosines, unused

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {"sum": self._sum.copy(), "count": self._count, "centroid": self._centroid}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the centroid."""
        self._sum, self._count = np.array(state["sum"], dtype=np.float64), state["count"]
        self._centroid = None if state["centroid"] is None else np.array(state["centroid"], dtype=np.float64)

    def _settle(self, direction: NDArray[np.float64]) -> None:
        """Add a direction to the mean, and fix the centroid when there are enough directions."""
        if self._sum.size != direction.size:
            self._sum, self._count = np.zeros(direction.size), 0
        self._sum += direction
        self._count += 1
        if self._count >= SETTLING_EMBEDDINGS:
            mean = _normalise(self._sum)
            self._centroid = None if isinstance(mean, str) else mean
            self._sum, self._count = np.zeros(0), 0


def _normalise(embedding: Any) -> NDArray[np.float64] | FaultReason:
    """Return an embedding scaled to length 1, or the reason why it cannot be scaled."""
    if len(embedding) > DIMENSIONS_MAX:
        return "too_long"
    try:
        numbers = np.asarray(embedding)
    except (ValueError, OverflowError):
        return "bad_items"
    if numbers.ndim != 1 or not numbers.size or numbers.dtype.kind not in "fiu":
        return "bad_items"
    vector = numbers.astype(np.float64)
    largest = float(np.abs(vector).max())
    if not 0.0 < largest < np.inf:
        return "out_of_bounds"
    # Divide by the largest number first to prevent overflow and underflow of squares.
    scaled = vector / largest
    return scaled / float(np.linalg.norm(scaled))
