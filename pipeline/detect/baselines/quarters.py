"""What a learner stores of each quarter of a slice: the first values of each signal, and the longest and oldest ages.

A learner stores no other values. Ages show how long each one grew before it was reset.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines.packed_numbers import pack_values, unpack_values
from schemas.baseline import AgeCycles

BURST_VALUES = 64
"""Number of values per signal in a burst. Higher values reveal longer autocorrelation and need more memory."""

_LARGEST, _ORIGIN = 0, 1


class Burst:
    """The first 64 values of each column, in order of arrival.

    Merging the bursts of two neighbouring periods gives exactly the burst of the combined period. A learner can
    therefore double the width of its slices, although it does not store all values.

    Parameters
    ----------
    columns
        The values of each column.
    """

    __slots__ = ("_columns", "_full_columns", "_packed")

    def __init__(self, columns: Sequence[NDArray[np.float64]] = ()) -> None:
        self._columns: list[NDArray[np.float64]] | None = list(columns)
        self._full_columns = 0
        self._packed: bytes | None = None

    @property
    def columns(self) -> list[NDArray[np.float64]]:
        """The values of each column. They are unpacked at each call."""
        return self._columns if self._columns is not None else unpack_values(self._packed or b"")

    @property
    def has_columns(self) -> bool:
        """Whether any record carried a signal."""
        return self._columns is None or bool(self._columns)

    def pack(self) -> None:
        """Pack the values, because a learner has hundreds of bursts and adds values to the newest one only."""
        if self._columns:
            is_full = all(column.size >= BURST_VALUES for column in self._columns)
            self._full_columns = len(self._columns) if is_full else 0
            self._packed, self._columns = pack_values(self._columns), None

    def is_full(self, count: int) -> bool:
        """Return whether there are at least ``count`` columns, and all are full."""
        if self._columns is None:
            return self._full_columns >= count
        return len(self._columns) >= count and all(column.size >= BURST_VALUES for column in self._columns)

    def add(self, values: NDArray[np.float64]) -> bool:
        """Add rows in order of arrival, shape ``(R, C)``, NaN where absent. Return whether any value was stored."""
        changed = False
        columns = _add_columns(self.columns, values.shape[1])
        for index, column in enumerate(columns):
            if column.size < BURST_VALUES and index < values.shape[1]:
                column_values = values[:, index]
                added = column_values[~np.isnan(column_values)][: BURST_VALUES - column.size]
                if added.size:
                    columns[index] = np.concatenate([column, added])
                    changed = True
        self._columns, self._packed = columns, None
        return changed

    def merge(self, later: "Burst") -> "Burst":
        """Return the combined burst of this period and the period that follows it.

        >>> Burst([np.array([1.0])]).merge(Burst([np.array([2.0, 3.0])])).columns[0].tolist()
        [1.0, 2.0, 3.0]
        """
        columns, following = self.columns, later.columns
        width = max(len(columns), len(following))
        pairs = zip(_add_columns(columns, width), _add_columns(following, width), strict=True)
        return Burst([np.concatenate([first, second])[:BURST_VALUES] for first, second in pairs])


def _add_columns(columns: Sequence[NDArray[np.float64]], width: int) -> list[NDArray[np.float64]]:
    return [*columns, *(np.zeros(0) for _ in range(width - len(columns)))]


@dataclass(frozen=True, slots=True)
class QuarterAges:
    """One age in the ``Q`` quarters of slices that contain a record of it, in order.

    Attributes
    ----------
    slices
        Shape ``(Q,)``: the slice of each quarter.
    ends_s
        Shape ``(Q,)``: the end of each quarter, in Unix seconds.
    largest
        Shape ``(Q,)``: the longest age, over all records of the quarter.
    origins_s
        Shape ``(Q,)``: the earliest origin in Unix seconds, over all records of the quarter. The origin of a record is
        its event time minus its age: the time of the last reset.
    """

    slices: NDArray[np.intp]
    ends_s: NDArray[np.float64]
    largest: NDArray[np.float64]
    origins_s: NDArray[np.float64]

    def without_slices(self, dropped: NDArray[np.bool_]) -> "QuarterAges":
        """Return the quarters outside the slices that are marked in ``dropped``, shape ``(S,)``."""
        remaining = ~dropped[self.slices]
        return QuarterAges(
            self.slices[remaining], self.ends_s[remaining], self.largest[remaining], self.origins_s[remaining]
        )

    def find_cycles(self) -> AgeCycles | None:
        """Return the longest age and the cycles, or None without a record.

        A cycle that begins with a quarter ends when all later origins are after that quarter. Everything that was in
        use at its beginning has then been renewed. So an age that only grows has no cycle, and neither records that
        arrive late nor several indexes of different ages look like a reset.

        >>> day = QuarterAges(
        ...     slices=np.arange(4),
        ...     ends_s=np.array([6.0, 12.0, 18.0, 24.0]),
        ...     largest=np.array([16.0, 22.0, 23.0, 4.0]),
        ...     origins_s=np.array([-10.0, -10.0, -10.0, 20.0]),
        ... )
        >>> day.find_cycles().longest, day.find_cycles().resets
        (23.0, 1)
        """
        if not self.largest.size:
            return None
        earliest_later = np.minimum.accumulate(self.origins_s[::-1])[::-1]
        longest_ages: list[float] = []
        begin = 0
        while (end := int(np.searchsorted(earliest_later, self.ends_s[begin], side="right"))) < self.largest.size:
            end = max(end, begin + 1)
            longest_ages.append(float(self.largest[begin:end].max()))
            begin = end
        count = len(longest_ages)
        return AgeCycles(
            longest=float(self.largest.max()),
            resets=count,
            mean=float(np.mean(longest_ages)) if count else None,
            deviation=float(np.std(longest_ages, ddof=1)) if count > 1 else None,
        )


class AgeHistory:
    """The ``A`` ages of a learner: for each quarter of a slice the longest age and the earliest origin.

    Parameters
    ----------
    quarters
        Number of quarters of a slice, which must be even.
    """

    def __init__(self, quarters: int) -> None:
        self._quarters = quarters
        self._slices: dict[int, NDArray[np.float64]] = {}

    def add_rows(self, slice_index: int, quarter: int, ages: NDArray[np.float64], times_ms: NDArray[np.int64]) -> None:
        """Add the rows of a quarter: ages in shape ``(R, A)``, NaN where absent, and event times in Unix milliseconds.

        Later rows may have more ages, but never fewer.
        """
        if not ages.shape[1]:
            return
        self._slices[slice_index] = stored = self._widened(slice_index, ages.shape[1])
        origins = times_ms[:, None] / 1000.0 - ages
        stored[quarter, _LARGEST] = np.fmax(stored[quarter, _LARGEST], np.fmax.reduce(ages, axis=0))
        stored[quarter, _ORIGIN] = np.fmin(stored[quarter, _ORIGIN], np.fmin.reduce(origins, axis=0))

    def double_width(self) -> None:
        """Combine every two neighbouring slices into one."""
        halves, self._slices = self._slices, {}
        width = max((half.shape[-1] for half in halves.values()), default=0)
        for index in sorted({index // 2 for index in halves}):
            pair = [_widen(halves.get(2 * index + half), self._quarters, width) for half in (0, 1)]
            quarters = np.concatenate(pair).reshape(self._quarters, 2, 2, width)
            combined = np.fmax(quarters[:, 0], quarters[:, 1])
            combined[:, _ORIGIN] = np.fmin(quarters[:, 0, _ORIGIN], quarters[:, 1, _ORIGIN])
            self._slices[index] = combined

    def find_quarters(self, age: int, origin_ms: int, width_ms: int) -> QuarterAges:
        """Return one age by quarter. Slices begin at ``origin_ms`` and have the width ``width_ms``."""
        rows = [
            (slice_index, slice_index * self._quarters + quarter, *stored[quarter, :, age].tolist())
            for slice_index, stored in sorted(self._slices.items())
            if age < stored.shape[-1]
            for quarter in np.flatnonzero(~np.isnan(stored[:, _LARGEST, age])).tolist()
        ]
        slices, numbers, largest, origins = np.array(rows, dtype=np.float64).reshape(-1, 4).T
        ends_s = (origin_ms + (numbers + 1.0) * width_ms / self._quarters) / 1000.0
        return QuarterAges(slices.astype(np.intp), ends_s, largest, origins)

    def dump_slice(self, slice_index: int) -> NDArray[np.float64] | None:
        """Return the state of a slice in shape ``(quarters, 2, A)``, or None if no record carried an age."""
        stored = self._slices.get(slice_index)
        return None if stored is None else stored.copy()

    def load_slice(self, slice_index: int, state: NDArray[np.float64]) -> None:
        """Restore the state that :meth:`dump_slice` returned."""
        self._slices[slice_index] = np.array(state, dtype=np.float64)

    def clear(self) -> None:
        """Remove all slices."""
        self._slices.clear()

    def _widened(self, slice_index: int, width: int) -> NDArray[np.float64]:
        stored = self._slices.get(slice_index)
        return stored if stored is not None and stored.shape[-1] == width else _widen(stored, self._quarters, width)


def _widen(stored: NDArray[np.float64] | None, quarters: int, width: int) -> NDArray[np.float64]:
    wide = np.full((quarters, 2, width), np.nan)
    if stored is not None:
        wide[..., : stored.shape[-1]] = stored
    return wide
