"""Quantiles of many columns at once: counts in bins of equal relative width, as the bits of a number give them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_FRACTION_BITS = 5
"""Bits of a number's fraction that choose its bin: 32 bins an octave, so a quantile is right to 1.6 %."""

_SHIFT = 52 - _FRACTION_BITS
_LOWEST = (1023 - 14) << _FRACTION_BITS
"""The bin of 2**-14, about 0.00006: what is nearer to 0 counts as 0."""

_SPAN = 48 << _FRACTION_BITS
"""Bins of one sign: up to 2**34, about 17 thousand million. Larger values count as that."""

_FEW = 8
"""Values fewer than the bins by more than this are counted one by one: a pass over all bins would cost more."""

BINS = 2 * _SPAN + 1
RELATIVE_ERROR = 2.0 ** -(_FRACTION_BITS + 1)


def _bin_values() -> NDArray[np.float64]:
    lower = ((np.arange(_SPAN, dtype=np.int64) + _LOWEST) << _SHIFT).view(np.float64)
    upper = ((np.arange(_SPAN, dtype=np.int64) + _LOWEST + 1) << _SHIFT).view(np.float64)
    middle = (lower + upper) / 2
    return np.concatenate([-middle[::-1], [0.0], middle])


class Quantiles:
    """Quantiles of ``columns`` columns over all that was ever added, in memory that does not grow.

    >>> sketch = Quantiles(1)
    >>> sketch.add(np.arange(1.0, 1001.0)[:, None])
    >>> [round(float(value)) for value in sketch.at(0, (0.5, 0.99))]
    [500, 984]
    """

    def __init__(self, columns: int) -> None:
        self._counts = np.zeros((columns, BINS), dtype=np.int64)
        self._values = _BIN_VALUES

    def add(self, values: NDArray[np.float64]) -> None:
        """Count values, shape ``(R, columns)``; NaN is no value."""
        bins = (np.ascontiguousarray(np.abs(values)).view(np.int64) >> _SHIFT) - (_LOWEST - 1)
        np.clip(bins, 0, _SPAN, out=bins)
        np.negative(bins, out=bins, where=values < 0)
        bins += _SPAN + np.arange(values.shape[1]) * BINS
        present = bins[~np.isnan(values)]
        flat = self._counts.ravel()
        if present.size < flat.size // _FEW:
            np.add.at(flat, present, 1)
        else:
            flat += np.bincount(present, minlength=flat.size)

    def widen(self, columns: int) -> None:
        """Have at least so many columns; new ones are empty."""
        missing = columns - self._counts.shape[0]
        if missing > 0:
            self._counts = np.vstack([self._counts, np.zeros((missing, BINS), dtype=np.int64)])

    def estimate(self, column: int, shares: tuple[float, ...]) -> list[float | None]:
        """The values below which these shares of a column lie; None of an empty column."""
        totals = np.cumsum(self._counts[column])
        if totals[-1] == 0:
            return [None] * len(shares)
        places = np.searchsorted(totals, np.ceil(np.array(shares) * totals[-1]).clip(1), side="left")
        found: list[float | None] = self._values[places].tolist()
        return found

    def dump(self) -> dict[str, Any]:
        """The state: the bins that hold anything."""
        flat = self._counts.ravel()
        filled = np.flatnonzero(flat)
        return {"columns": self._counts.shape[0], "bins": filled, "counts": flat[filled]}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave."""
        self._counts = np.zeros((int(state["columns"]), BINS), dtype=np.int64)
        self._counts.ravel()[np.asarray(state["bins"])] = np.asarray(state["counts"])


_BIN_VALUES = _bin_values()
