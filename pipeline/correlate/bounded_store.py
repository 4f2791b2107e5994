"""A bounded store: the things that arrived last, by id. What correlate remembers of deployments and workload drifts."""

from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class BoundedStore(Generic[Item]):
    """At most ``limit`` items; the oldest to *arrive* makes room.

    Not the one of the oldest event time: otherwise a few dated far ahead would occupy their places for ever.
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
        """The item of an id, if it is kept."""
        found = self._items.get(key)
        return None if found is None else found[1]

    def arrival(self, key: str) -> int:
        """The number of arrival of an item; ``KeyError`` if it is not kept."""
        return self._items[key][0]

    def add(self, key: str, item: Item) -> list[tuple[str, Item]]:
        """Keep an item in the place of any other of its id; what had to make room is returned."""
        self.take_up(self._arrivals, key, item)
        gone = []
        while len(self._items) > self._limit:
            oldest = min(self._items, key=lambda each: self._items[each][0])
            gone.append((oldest, self._items.pop(oldest)[1]))
        return gone

    def take_up(self, arrival: int, key: str, item: Item) -> None:
        """Keep an item under a number of arrival that a checkpoint gives back."""
        self._items[key] = (arrival, item)
        self._arrivals = max(self._arrivals, arrival + 1)
