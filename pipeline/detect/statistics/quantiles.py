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
"""Maximum ratio of bins to new values at which all bins are updated in one pass. Fewer values are counted one by
one."""

BINS = 2 * _SPAN + 1
RELATIVE_ERROR = 2.0 ** -(_FRACTION_BITS + 1)


def _bin_values() -> NDArray[np.float64]:
    lower = ((np.arange(_SPAN, dtype=np.int64) + _LOWEST) << _SHIFT).view(np.float64)
    upper = ((np.arange(_SPAN, dtype=np.int64) + _LOWEST + 1) << _SHIFT).view(np.float64)
    centres = (lower + upper) / 2
    return np.concatenate([-centres[::-1], [0.0], centres])


class Quantiles:
    """Quantiles of a fixed number of columns over all added values, in constant memory.

    >>> sketch = Quantiles(1)
    >>> sketch.add(np.arange(1.0, 1001.0)[:, None])
    >>> [round(float(value)) for value in sketch.estimate(0, (0.5, 0.99))]
    [500, 984]
    """

    def __init__(self, columns: int) -> None:
        self._counts = np.zeros((columns, BINS), dtype=np.int64)
        self._values = _BIN_VALUES

    def add(self, values: NDArray[np.float64]) -> None:
        """Add values, shape ``(R, columns)``; NaN is skipped."""
        bins = (np.ascontiguousarray(np.abs(values)).view(np.int64) >> _SHIFT) - (_LOWEST - 1)
        np.clip(bins, 0, _SPAN, out=bins)
        np.negative(bins, out=bins, where=values < 0)
        bins += _SPAN + np.arange(values.shape[1]) * BINS
        present = bins[~np.isnan(values)]
        flat = self._counts.ravel()
        if present.size < flat.size // _BINS_PER_VALUE_MAX:
            np.add.at(flat, present, 1)
        else:
            flat += np.bincount(present, minlength=flat.size)

    def widen(self, columns: int) -> None:
        """Add empty columns until there are at least this many."""
        missing = columns - self._counts.shape[0]
        if missing > 0:
            self._counts = np.vstack([self._counts, np.zeros((missing, BINS), dtype=np.int64)])

    def estimate(self, column: int, shares: tuple[float, ...]) -> list[float | None]:
        """Estimate the quantiles of a column at shares from 0 to 1. They are None if the column is empty."""
        totals = np.cumsum(self._counts[column])
        if totals[-1] == 0:
            return [None] * len(shares)
        bins = np.searchsorted(totals, np.ceil(np.array(shares) * totals[-1]).clip(1), side="left")
        quantiles: list[float | None] = self._values[bins].tolist()
        return quantiles

    def dump(self) -> dict[str, Any]:
        """Return the state, which contains only non-empty bins."""
        flat = self._counts.ravel()
        filled = np.flatnonzero(flat)
        return {"columns": self._counts.shape[0], "bins": filled, "counts": flat[filled]}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned."""
        self._counts = np.zeros((int(state["columns"]), BINS), dtype=np.int64)
        self._counts.ravel()[np.asarray(state["bins"])] = np.asarray(state["counts"])


_BIN_VALUES = _bin_values()
