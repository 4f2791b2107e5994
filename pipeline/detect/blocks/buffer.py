"""Buffer the records of a stream until they form a block. Blocks depend only on the records, not on Kafka fetches."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.admission import Records
from pipeline.detect.settings import DetectSettings


class Buffer:
    """Buffer of one stream.

    A block ends when it contains ``block_records`` records. It also ends before a record of another pane if at least
    ``flush_records`` records are buffered, or if that pane is at least ``flush_after_s`` seconds after the first pane.
    """

    def __init__(self, settings: DetectSettings) -> None:
        self._settings = settings
        self._length_max = min(settings.block_records, settings.flush_records)
        self._parts: list[Records] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def records(self) -> Records:
        """All buffered records, at least one."""
        self._parts = [Records.concatenate_for_block(self._parts)]
        return self._parts[0]

    def take(self) -> Records:
        """Remove and return all buffered records, at least one."""
        records = self.records
        self._parts, self._length = [], 0
        return records

    def add(self, records: Records) -> None:
        """Buffer records without ending a block."""
        if len(records):
            self._parts.append(records)
            self._length += len(records)

    def push(self, records: Records) -> Iterator[tuple[int, Records]]:
        """Buffer one or more records, with non-decreasing panes, and yield the completed blocks.

        Yields
        ------
        position
            Position of the record that ended a block.
        records
            The records of that block.
        """
        if self._has_room(records.panes):
            self.add(records.copy_for_block(0, len(records)))
            return
        stop = 0
        for start, stop, last in self._find_blocks(records.panes):
            self.add(records.copy_for_block(start, stop))
            yield records.positions[last], self.take()
        self.add(records.copy_for_block(stop, len(records)))

    def find_ends(self, panes: NDArray[np.int64]) -> list[int]:
        """Return, for each block, the number of new records after which it ends. ``panes`` must not be empty."""
        if self._has_room(panes):
            return []
        return [last + 1 for _, _, last in self._find_blocks(panes)]

    def _has_room(self, panes: NDArray[np.int64]) -> bool:
        """Return whether no block ends before the last of some new records. Usually, few records complete no block."""
        return self.has_room(len(panes), int(panes[0]), int(panes[-1]))

    def has_room(self, count: int, first_pane: int, last_pane: int) -> bool:
        """Return whether no block ends before the last of some new records, whose panes do not decrease."""
        oldest = int(self._parts[0].panes[0]) if self._parts else first_pane
        return self._length + count < self._length_max and last_pane - oldest < self._settings.flush_after_s

    def _find_blocks(self, panes: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
        """Yield the start and stop of the new records of each block, and the index of the record that ends it."""
        start, buffered = 0, self._length
        oldest = int(self._parts[0].panes[0]) if self._parts else int(panes[0])
        for change in self._find_changes(panes):
            while buffered + change - start >= self._settings.block_records:
                # A buffer that is restored with a smaller block_records may be full. The next record ends its block.
                stop = max(start, start + self._settings.block_records - buffered)
                yield start, stop, max(start, stop - 1)
                start, buffered = stop, 0
                oldest = int(panes[min(start, len(panes) - 1)])
            length = buffered + change - start
            if not length or change == len(panes):
                continue
            if length >= self._settings.flush_records or int(panes[change]) - oldest >= self._settings.flush_after_s:
                yield start, change, change
                start, buffered, oldest = change, 0, int(panes[change])

    def _find_changes(self, panes: NDArray[np.int64]) -> list[int]:
        """Return the indexes at which the pane changes, followed by the number of panes."""
        # Panes never decrease, so first == last means that all are equal.
        changes = [] if panes[-1] == panes[0] else (np.flatnonzero(panes[1:] != panes[:-1]) + 1).tolist()
        if self._parts and panes[0] != self._parts[-1].panes[-1]:
            changes.insert(0, 0)
        return [*changes, len(panes)]
