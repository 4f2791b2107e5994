"""The rank of a value among its baseline: what makes signals of any unit and shape alike for a detector."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

KNOTS = 513
"""Quantiles in a table: 0, 1/512, ..., 1."""


def compute_knots(values: NDArray[np.float64]) -> list[float]:
    """The table of a baseline's values: 513 quantiles.

    Parameters
    ----------
    values
        Shape ``(N,)``, finite, at least one.

    >>> knots_of(np.arange(1025.0))[256]
    512.0
    """
    quantiles: list[float] = np.quantile(values, np.linspace(0.0, 1.0, KNOTS)).tolist()
    return quantiles


class RankTable:
    """Values to ranks between 0 and 1.

    A value between two knots has the rank in the middle of them; a value that equals knots, the middle of those (the
    mid-rank, so that a value which many records share has the rank of their middle); one below or above all, 0 or 1.
    The mean rank of the baseline itself is therefore 0.5, whatever its shape.

    Parameters
    ----------
    knots
        Ascending quantiles of the baseline.

    Attributes
    ----------
    edges, by_place
        Ascending numbers, and the ranks of what lies below all of them, at or above the first, the second and so on.

    >>> table = RankTable([0.0, 1.0, 1.0, 1.0, 2.0])
    >>> table.ranks(np.array([-5.0, 0.5, 1.0, 1.5, 9.0, np.nan])).tolist()
    [0.0, 0.125, 0.5, 0.875, 1.0, nan]
    """

    def __init__(self, knots: Sequence[float]) -> None:
        table = np.asarray(knots, dtype=np.float64)
        if table.ndim != 1 or table.size < 2 or not np.isfinite(table).all() or np.any(np.diff(table) < 0):
            raise ValueError("knots are at least two finite numbers that never fall")
        # With the next larger number beside every knot, one search tells equal to a knot from between two.
        edges = np.sort(np.concatenate([table, np.nextafter(table, np.inf)]))
        lower = np.searchsorted(table, edges, side="left")
        upper = np.searchsorted(table, edges, side="right")
        middle = np.clip(((lower + upper) / 2 - 0.5) / (table.size - 1), 0.0, 1.0)
        self.edges: NDArray[np.float64] = edges
        self.by_place: NDArray[np.float64] = np.concatenate([[0.0], middle])

    def ranks(self, values: ArrayLike) -> NDArray[np.float64]:
        """The ranks of ``values``, shape kept; NaN stays NaN."""
        numbers = np.asarray(values, dtype=np.float64)
        ranks: NDArray[np.float64] = self.by_place[np.searchsorted(self.edges, numbers, side="right")]
        ranks[np.isnan(numbers)] = np.nan
        return ranks
