"""Find records that a stream has already received, within a bounded window, so that retries do not count twice.

This is the last step of the intake. Records that are not duplicates go to ``pipeline/detect/blocks``.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

CHUNKS = 8
"""Number of chunks of the window. Only the newest chunk changes, and the oldest chunk is dropped as a unit."""


class Duplicates:
    """The keys of the latest records of a stream.

    Parameters
    ----------
    window
        Maximum records to remember. At least 7/8 of this number are remembered. A record takes about 150 bytes. With 0,
        no record is remembered.

    Attributes
    ----------
    SETTINGS
        Names of the settings on which the chunks depend.

    >>> duplicates = Duplicates(8)
    >>> duplicates.find_new(["a", "b", "a", None, None])
    [True, True, False, True, True]
    """

    SETTINGS: ClassVar = ("duplicate_window",)

    def __init__(self, window: int) -> None:
        self._chunk_records = -(-window // CHUNKS)
        self._chunks: deque[list[str]] = deque([[]])
        self._seen: set[str] = set()
        self._number = 0
        self._changed_slots: set[int] = set()

    def find_new(self, keys: Sequence[str | None]) -> list[bool]:
        """Return for each key whether it is new, and remember it. None is always new and is never remembered."""
        if not self._chunk_records:
            return [True] * len(keys)
        present = [key for key in keys if key is not None]
        if len(set(present)) == len(present) and self._seen.isdisjoint(present):
            self._remember(present)
            return [True] * len(keys)
        return [key is None or self._is_new(key) for key in keys]

    def _is_new(self, key: str) -> bool:
        if key in self._seen:
            return False
        self._remember([key])
        return True

    def _remember(self, keys: list[str]) -> None:
        start = 0
        while start < len(keys):
            newest = self._chunks[-1]
            added = keys[start : start + self._chunk_records - len(newest)]
            newest += added
            self._seen.update(added)
            self._changed_slots.add(self._number % CHUNKS)
            start += len(added)
            if len(newest) == self._chunk_records:
                self._chunks.append([])
                self._number += 1
                if len(self._chunks) > CHUNKS:
                    self._seen.difference_update(self._chunks.popleft())

    def mark_all(self) -> None:
        """Mark all chunks as changed."""
        self._changed_slots.update(
            number % CHUNKS for number in range(self._number - len(self._chunks) + 1, self._number + 1)
        )

    def dump_changed(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the chunks that changed since the last call, by slot. New chunks reuse the slots of dropped chunks."""
        for slot in sorted(self._changed_slots):
            number = self._number - (self._number - slot) % CHUNKS
            index = number - self._number - 1
            if -index <= len(self._chunks):
                yield str(slot), {"number": number, "keys": self._chunks[index]}
        self._changed_slots.clear()

    def load(self, chunks: Sequence[dict[str, Any]]) -> None:
        """Restore chunks, in any order. Chunks that are older than the window are ignored."""
        by_number = {chunk["number"]: list(chunk["keys"]) for chunk in chunks}
        newest = max(by_number, default=0)
        if by_number and len(by_number[newest]) == self._chunk_records:
            # The next chunk was still empty, so it was never written.
            newest += 1
        self._number = newest
        oldest = newest
        while oldest - 1 in by_number and newest - oldest + 1 < CHUNKS:
            oldest -= 1
        self._chunks = deque(by_number.get(number, []) for number in range(oldest, newest + 1))
        self._seen = {key for chunk in self._chunks for key in chunk}
