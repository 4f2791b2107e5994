"""Rank tables side by side: the ranks of the values of many signals at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines.rank import RankTable


class RankTables:
    """V tables, searched together.

    Each halving of all searches is a few passes over arrays, without a branch that could be foretold wrongly: of 512
    rows this takes a third of the time of V searches.

    Parameters
    ----------
    tables
        One for each column.

    >>> tables = RankTables([RankTable([0.0, 1.0, 2.0]), RankTable([5.0, 6.0])])
    >>> tables.ranks(np.array([[0.5, 7.0], [1.0, np.nan]])).tolist()
    [[0.25, 1.0], [0.5, nan]]
    """

    def __init__(self, tables: Sequence[RankTable]) -> None:
        # One edge at infinity at least: what lies beyond it is no number, and has no rank.
        self._edges_each = 1 + max((table.edges.size for table in tables), default=0)
        edges = np.full((len(tables), self._edges_each), np.inf)
        ranks = np.full((len(tables), self._edges_each + 1), np.nan)
        for index, table in enumerate(tables):
            edges[index, : table.edges.size] = table.edges
            ranks[index, : table.by_place.size] = table.by_place
        self._edges, self._ranks = edges.ravel(), ranks.ravel()
        self._columns = np.arange(len(tables))

    def ranks(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ranks, ``(N, V)`` to ``(N, V)``; NaN stays NaN."""
        numbers = np.fmin(values, np.inf)
        places = np.empty(values.shape, dtype=np.intp)
        places[:] = self._columns * self._edges_each
        probed, beyond = np.empty_like(places), np.empty(values.shape, dtype=bool)
        edges = np.empty_like(numbers)
        left = self._edges_each
        while left:
            half = (left + 1) // 2
            np.add(places, half - 1, out=probed)
            self._edges.take(probed, out=edges, mode="clip")
            np.less_equal(edges, numbers, out=beyond)
            np.multiply(beyond, half, out=probed)
            places += probed
            left -= half
        # A table of ranks is longer by one than that of its edges.
        places += self._columns
        return self._ranks.take(places)
