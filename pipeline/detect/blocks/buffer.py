"""The buffer: records of one unit until they are a block. Where a block ends is said by the records, never by a fetch."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.blocks.rows import Rows, joined_rows
from pipeline.detect.settings import DetectSettings


class Buffer:
    """Collects the records of one unit.

    A block ends before a record of another pane if ``flush_records`` are buffered or the record's pane is
    ``flush_after_s`` beyond the first one's, and after the record that makes it ``block_records``.
    """

    def __init__(self, settings: DetectSettings) -> None:
        self._settings = settings
        self._parts: list[Rows] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def rows(self) -> Rows:
        """All that is buffered; it must not be empty."""
        self._parts = [joined_rows(self._parts)]
        return self._parts[0]

    def take(self) -> Rows:
        """All that is buffered, and empty the buffer; it must not be empty before."""
        rows = self.rows
        self._parts, self._length = [], 0
        return rows

    def add(self, rows: Rows) -> None:
        """Buffer records that end no block."""
        if len(rows):
            self._parts.append(rows)
            self._length += len(rows)

    def push(self, rows: Rows, places: Sequence[int]) -> Iterator[tuple[int, Rows]]:
        """Buffer records, in their order.

        Parameters
        ----------
        rows, places
            Alike in length, at least one; panes never fall.

        Yields
        ------
        place
            Of the record that ended a block.
        rows
            Of that block.
        """
        stop = 0
        for start, stop, last in self._blocks(rows.panes):
            self.add(rows.copy(start, stop))
            yield places[last], self.take()
        self.add(rows.copy(stop, len(rows)))

    def ends(self, panes: NDArray[np.int64]) -> list[int]:
        """After how many records of these panes, at least one, a block will have ended."""
        return [last + 1 for _, _, last in self._blocks(panes)]

    def _blocks(self, panes: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
        """Of each block that ends: its records from where up to where, and the record that ends it."""
        start, length = 0, self._length
        oldest = int(self._parts[0].panes[0]) if self._parts else int(panes[0])
        for change in self._changes(panes):
            while length + change - start >= self._settings.block_records:
                stop = start + self._settings.block_records - length
                yield start, stop, stop - 1
                start, length = stop, 0
                oldest = int(panes[min(start, len(panes) - 1)])
            held = length + change - start
            if not held or change == len(panes):
                continue
            if held >= self._settings.flush_records or int(panes[change]) - oldest >= self._settings.flush_after_s:
                yield start, change, change
                start, length, oldest = change, 0, int(panes[change])

    def _changes(self, panes: NDArray[np.int64]) -> list[int]:
        """Where a pane follows another, and the end."""
        # They never fall: if the last is the first, all are.
        changes = [] if panes[-1] == panes[0] else (np.flatnonzero(panes[1:] != panes[:-1]) + 1).tolist()
        if self._parts and panes[0] != self._parts[-1].panes[-1]:
            changes.insert(0, 0)
        return [*changes, len(panes)]
