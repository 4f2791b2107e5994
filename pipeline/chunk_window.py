"""A bounded window of entries in chunks. Only the newest chunk changes, and the oldest chunk is dropped as a unit.

A checkpoint therefore contains each full chunk once, and later checkpoints write only the newest chunk.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

CHUNKS = 8
"""Maximum number of chunks. At least 7/8 of the entries of a full window are remembered."""

Chunk = TypeVar("Chunk")


class ChunkWindow(Generic[Chunk]):
    """The chunks of a window, and their slots in a checkpoint.

    Parameters
    ----------
    new_chunk
        Function that returns an empty chunk.

    Attributes
    ----------
    chunks
        The chunks, oldest first. The last one is never full.

    >>> window = ChunkWindow(list)
    >>> for number in range(10):
    ...     window.newest.append(number)
    ...     window.mark_newest()
    ...     window.begin_chunk()
    >>> list(window.chunks)
    [[3], [4], [5], [6], [7], [8], [9], []]
    """

    def __init__(self, new_chunk: Callable[[], Chunk]) -> None:
        self._new_chunk = new_chunk
        self.chunks: deque[Chunk] = deque([new_chunk()])
        self._number = 0
        self._changed_slots: set[int] = set()

    @property
    def newest(self) -> Chunk:
        """The newest chunk. Call :meth:`mark_newest` after a change."""
        return self.chunks[-1]

    @newest.setter
    def newest(self, chunk: Chunk) -> None:
        self.chunks[-1] = chunk

    @property
    def number(self) -> int:
        """Number of chunks before the newest one since the start of the window."""
        return self._number

    def mark_newest(self) -> None:
        """Mark the newest chunk as changed."""
        self._changed_slots.add(self._number % CHUNKS)

    def begin_chunk(self) -> None:
        """Begin a new chunk because the newest one is full. The oldest chunk may be dropped."""
        self.chunks.append(self._new_chunk())
        self._number += 1
        if len(self.chunks) > CHUNKS:
            self.chunks.popleft()

    def mark_all(self) -> None:
        """Mark all chunks as changed."""
        self._changed_slots.update(
            number % CHUNKS for number in range(self._number - len(self.chunks) + 1, self._number + 1)
        )

    def take_changed(self) -> Iterator[tuple[str, int, Chunk]]:
        """Yield the slot, the number and the content of each chunk that changed since the last call.

        A new chunk reuses the slot of a dropped chunk.
        """
        for slot in sorted(self._changed_slots):
            number = self._number - (self._number - slot) % CHUNKS
            index = number - self._number - 1
            if -index <= len(self.chunks):
                yield str(slot), number, self.chunks[index]
        self._changed_slots.clear()

    def load(self, by_number: Mapping[int, Chunk], is_full: Callable[[Chunk], bool]) -> None:
        """Restore chunks by number. Chunks that are older than the window are ignored."""
        newest = max(by_number, default=0)
        if by_number and is_full(by_number[newest]):
            # The next chunk was still empty, so it was never written.
            newest += 1
        self._number = newest
        oldest = newest
        while oldest - 1 in by_number and newest - oldest + 1 < CHUNKS:
            oldest -= 1
        self.chunks = deque(
            by_number[number] if number in by_number else self._new_chunk() for number in range(oldest, newest + 1)
        )
