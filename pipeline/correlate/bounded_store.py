"""Bounded store of the newest items by id, for deployments and workload drifts."""

from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class BoundedStore(Generic[Item]):
    """Store of at most ``limit`` items by id. Beyond this number, the item that *arrived* first is dropped.

    Items are not dropped by event time, because items with timestamps far in the future would then never be dropped.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: dict[str, tuple[int, Item]] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return (item for _, item in self._items.values())

    def get(self, key: str) -> Item | None:
        """Return an item, or None if it is not stored."""
        entry = self._items.get(key)
        return None if entry is None else entry[1]

    def arrival_number(self, key: str) -> int:
        """Return the arrival number of an item. Raise ``KeyError`` if the item is not stored."""
        return self._items[key][0]

    def add(self, key: str, item: Item) -> list[tuple[str, Item]]:
        """Store an item, replacing any item with the same id. Return the items that were dropped."""
        self.restore(self._arrivals, key, item)
        dropped = []
        while len(self._items) > self._limit:
            oldest = min(self._items, key=lambda stored: self._items[stored][0])
            dropped.append((oldest, self._items.pop(oldest)[1]))
        return dropped

    def restore(self, arrival_number: int, key: str, item: Item) -> None:
        """Store an item from a checkpoint with its arrival number."""
        self._items[key] = (arrival_number, item)
        self._arrivals = max(self._arrivals, arrival_number + 1)
