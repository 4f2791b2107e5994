"""The buffer: records of one unit until they are a block. Where a block ends is said by the records, never by a fetch."""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.detect.rows import Rows, joined_rows
from pipeline.detect.settings import DetectSettings


class Buffer:
    """Collects the records of one unit.

    A block ends before a record of another pane if ``flush_records`` are buffered or the record's pane is
    ``flush_panes`` beyond the first one's, and after the record that makes it ``block_records``.
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
        start = 0
        for change in self._changes(rows):
            while self._length + change - start >= self._settings.block_records:
                end = start + self._settings.block_records - self._length
                self.add(rows.copy(start, end))
                yield places[end - 1], self.take()
                start = end
            if change < len(rows) and self._ends(rows, start, change):
                self.add(rows.copy(start, change))
                yield places[change], self.take()
                start = change
        self.add(rows.copy(start, len(rows)))

    def _changes(self, rows: Rows) -> list[int]:
        """Where a pane follows another, and the end."""
        panes = rows.panes
        # They never fall: if the last is the first, all are.
        changes = [] if panes[-1] == panes[0] else (np.flatnonzero(panes[1:] != panes[:-1]) + 1).tolist()
        if self._parts and panes[0] != self._parts[-1].panes[-1]:
            changes.insert(0, 0)
        return [*changes, len(rows)]

    def _ends(self, rows: Rows, start: int, change: int) -> bool:
        """Whether a block ends before the record at ``change``, if those from ``start`` up to it join the buffered."""
        length = self._length + change - start
        if not length:
            return False
        oldest = self._parts[0].panes[0] if self._parts else rows.panes[start]
        return length >= self._settings.flush_records or rows.panes[change] - oldest >= self._settings.flush_panes
