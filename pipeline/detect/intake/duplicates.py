"""Duplicates: which records of a unit came before, within a bounded window. A producer that retries must not count twice."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

CHUNKS = 8
"""The window is kept in so many pieces: only the newest changes, and the oldest is forgotten whole."""


class Duplicates:
    """The keys of the last records of a unit.

    Parameters
    ----------
    window
        Records that are remembered at most; at least 7/8 of them are. 0 remembers none. More costs memory: about 150
        bytes each.

    >>> duplicates = Duplicates(8)
    >>> duplicates.new(["a", "b", "a", None, None])
    [True, True, False, True, True]
    """

    def __init__(self, window: int) -> None:
        self._chunk_records = -(-window // CHUNKS)
        self._chunks: deque[list[str]] = deque([[]])
        self._seen: set[str] = set()
        self._number = 0
        self._changed: set[int] = set()

    def find_new(self, keys: Sequence[str | None]) -> list[bool]:
        """Whether each key is new, as one after the other is remembered. None is always new and never remembered."""
        if not self._chunk_records:
            return [True] * len(keys)
        known = [key for key in keys if key is not None]
        if len(set(known)) == len(known) and self._seen.isdisjoint(known):
            self._remember(known)
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
            some = keys[start : start + self._chunk_records - len(newest)]
            newest += some
            self._seen.update(some)
            self._changed.add(self._number % CHUNKS)
            start += len(some)
            if len(newest) == self._chunk_records:
                self._chunks.append([])
                self._number += 1
                if len(self._chunks) > CHUNKS:
                    self._seen.difference_update(self._chunks.popleft())

    def dump_changed(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The chunks that changed since the last call, by a name that is used again when the oldest is forgotten."""
        for slot in sorted(self._changed):
            number = self._number - (self._number - slot) % CHUNKS
            position = number - self._number - 1
            if -position <= len(self._chunks):
                yield str(slot), {"number": number, "keys": self._chunks[position]}
        self._changed.clear()

    def load(self, chunks: Sequence[dict[str, Any]]) -> None:
        """Take up chunks in any order; those of an older turn of the window are passed over."""
        by_number = {chunk["number"]: list(chunk["keys"]) for chunk in chunks}
        newest = max(by_number, default=0)
        if by_number and len(by_number[newest]) == self._chunk_records:
            # The next one was still empty and never written.
            newest += 1
        self._number = newest
        self._chunks = deque([[]])
        oldest = newest
        while oldest - 1 in by_number and newest - oldest + 1 < CHUNKS:
            oldest -= 1
        self._chunks = deque(by_number.get(number, []) for number in range(oldest, newest + 1))
        self._seen = {key for chunk in self._chunks for key in chunk}
