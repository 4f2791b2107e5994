"""Quantiles of many columns at once, from counts in bins of equal relative width.

The exponent and the leading fraction bits of a number determine its bin.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_FRACTION_BITS = 5
"""Bits of the fraction that select a bin: 32 bins per octave, so the relative error of a quantile is at most 1.6 %."""

_SHIFT = 52 - _FRACTION_BITS
_LOWEST = (1023 - 14) << _FRACTION_BITS
"""Bin of 2**-14, about 0.00006. Smaller numbers are treated as 0."""

_SPAN = 48 << _FRACTION_BITS
"""Bins per sign, up to 2**34, about 17 billion. Larger numbers are counted in the last bin."""

_BINS_PER_VALUE_MAX = 8
"""Maximum ratio of bins to new values at which the values are counted in one pass over all bins. Fewer values are
sorted."""

WAITING_VALUES = 1024
"""Number of values that are stored together. Storing one value takes almost as long as storing all of them."""

BINS = 2 * _SPAN + 1
RELATIVE_ERROR = 2.0 ** -(_FRACTION_BITS + 1)


def _bin_values() -> NDArray[np.float64]:
    lower = ((np.arange(_SPAN, dtype=np.int64) + _LOWEST) << _SHIFT).view(np.float64)
    upper = ((np.arange(_SPAN, dtype=np.int64) + _LOWEST + 1) << _SHIFT).view(np.float64)
    centres = (lower + upper) / 2
    return np.concatenate([-centres[::-1], [0.0], centres])


class Quantiles:
    """Quantiles of a fixed number of columns over all added values, in bounded memory.

    Only the bins that are not empty are stored, because the values of a signal are in a few hundred bins at most.

    >>> sketch = Quantiles(1)
    >>> sketch.add(np.arange(1.0, 1001.0)[:, None])
    >>> [round(float(value)) for value in sketch.estimate(0, (0.5, 0.99))]
    [500, 984]
    """

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._bins: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._counts: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._waiting: list[NDArray[np.int32]] = []
        self._waiting_count = 0
        self._values = _BIN_VALUES

    def add(self, values: NDArray[np.float64]) -> None:
        """Add values, shape ``(R, columns)``; NaN is skipped."""
        self.add_bins(find_bins(values)[~np.isnan(values)].astype(np.int32))

    def add_bins(self, bins: NDArray[np.int32]) -> None:
        """Add values by their bins from :func:`find_bins`, shape ``(N,)``. The array must not be changed afterwards."""
        self._waiting.append(bins)
        self._waiting_count += bins.size
        if self._waiting_count >= WAITING_VALUES:
            self._store_waiting()

    def merge(self, other: "Quantiles") -> None:
        """Add the values of another sketch with the same columns."""
        self._store_waiting()
        state = other.dump()
        self._add_counts(state["bins"], state["counts"])

    def widen(self, columns: int) -> None:
        """Add empty columns until there are at least this many."""
        self._columns = max(self._columns, columns)

    def estimate(self, column: int, shares: tuple[float, ...]) -> list[float | None]:
        """Estimate the quantiles of a column at shares from 0 to 1. They are None if the column is empty."""
        self._store_waiting()
        start, end = self._bins.searchsorted([column * BINS, (column + 1) * BINS])
        if start == end:
            return [None] * len(shares)
        totals = np.cumsum(self._counts[start:end])
        found = np.searchsorted(totals, np.ceil(np.array(shares) * totals[-1]).clip(1), side="left")
        quantiles: list[float | None] = self._values[self._bins[start + found] - column * BINS].tolist()
        return quantiles

    def dump(self) -> dict[str, Any]:
        """Return the state."""
        self._store_waiting()
        return {"columns": self._columns, "bins": self._bins.copy(), "counts": self._counts.copy()}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned."""
        self._columns = int(state["columns"])
        self._waiting, self._waiting_count = [], 0
        self._bins = np.array(state["bins"], dtype=np.int32)
        self._counts = np.array(state["counts"], dtype=np.int64)

    def _store_waiting(self) -> None:
        if not self._waiting_count:
            return
        waiting = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        self._waiting, self._waiting_count = [], 0
        if waiting.size < self._columns * BINS // _BINS_PER_VALUE_MAX:
            added, counts = np.unique(waiting, return_counts=True)
        else:
            all_counts = np.bincount(waiting)
            added = np.flatnonzero(all_counts).astype(np.int32)
            counts = all_counts[added]
        self._add_counts(added, counts)

    def _add_counts(self, bins: NDArray[np.int32], counts: NDArray[np.int64]) -> None:
        """Add counts to ascending, distinct bins."""
        positions = self._bins.searchsorted(bins)
        if self._bins.size:
            is_stored = self._bins.take(positions, mode="clip") == bins
            self._counts[positions[is_stored]] += counts[is_stored]
            if is_stored.all():
                return
            positions, bins, counts = positions[~is_stored], bins[~is_stored], counts[~is_stored]
        self._bins = np.insert(self._bins, positions, bins)
        self._counts = np.insert(self._counts, positions, counts)


def find_bins(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bins of values, shape ``(..., columns)``, counted over all columns. Bins of NaN are meaningless."""
    bins = (np.ascontiguousarray(np.abs(values)).view(np.int64) >> _SHIFT) - (_LOWEST - 1)
    np.clip(bins, 0, _SPAN, out=bins)
    np.negative(bins, out=bins, where=values < 0)
    bins += _SPAN + np.arange(values.shape[-1]) * BINS
    return bins


_BIN_VALUES = _bin_values()
