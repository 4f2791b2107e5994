"""Bounded store of the newest items by id, for deployments and workload drifts."""

from collections.abc import Iterator
from itertools import islice
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
        self._is_sorted = True

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
        self._items.pop(key, None)
        self._items[key] = (self._arrivals, item)
        self._arrivals += 1
        if len(self._items) <= self._limit:
            return []
        if not self._is_sorted:
            self._items = dict(sorted(self._items.items(), key=lambda entry: entry[1][0]))
            self._is_sorted = True
        oldest = list(islice(self._items, len(self._items) - self._limit))
        return [(key, self._items.pop(key)[1]) for key in oldest]

    def restore(self, arrival_number: int, key: str, item: Item) -> None:
        """Store an item from a checkpoint with its arrival number."""
        self._items[key] = (arrival_number, item)
        self._is_sorted = False
        self._arrivals = max(self._arrivals, arrival_number + 1)
