"""The times at which things are due, and the names with the lowest rank, for many names that change all the time.

To look at all names whenever the clock moves or a limit is exceeded would take a time that grows with their number. Both
classes keep a heap in which an entry that no longer applies stays until it is the first.
"""

import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, Self, TypeVar

OUTDATED_MAX = 1_000
"""Number of outdated entries in a heap, beyond the number of names, from which the heap is built again."""


class Comparable(Protocol):
    """A value with an order."""

    def __lt__(self, other: Self, /) -> bool: ...


Rank = TypeVar("Rank", bound=Comparable)


class DueTimes:
    """The next due time of each name (Unix ms).

    >>> due = DueTimes()
    >>> due.set("inc-1", 2000), due.set("inc-2", 3000), due.set("inc-1", 1000)
    (None, None, None)
    >>> due.take(999), due.take(2999), due.take(2999)
    ([], ['inc-1'], [])
    """

    def __init__(self) -> None:
        self._times: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def set(self, name: str, at: float) -> None:
        """Set the next due time of a name. Infinity means that no time is due."""
        if at == math.inf:
            self._times.pop(name, None)
        elif self._times.get(name) != at:
            self._times[name] = at
            heappush(self._heap, (at, name))
            if len(self._heap) > 2 * len(self._times) + OUTDATED_MAX:
                self._heap = [(at, name) for name, at in self._times.items()]
                heapify(self._heap)

    def take(self, now: int) -> list[str]:
        """Return the names that are due at a time (Unix ms), earliest first, and remove their due times."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            at, name = heappop(self._heap)
            if self._times.get(name) == at:
                del self._times[name]
                due.append(name)
        return due


class LowestRank(Generic[Rank]):
    """The name with the lowest rank. A rank is computed when it is needed, and only for names that changed.

    Parameters
    ----------
    rank_of
        Function that returns the rank of a name, or None if the name no longer exists.

    >>> ranks = {"a": 3, "b": 2}
    >>> lowest = LowestRank(ranks.get)
    >>> lowest.mark("a"), lowest.mark("b"), lowest.first()
    (None, None, 'b')
    >>> ranks["b"] = 4
    >>> lowest.mark("b"), lowest.first()
    (None, 'a')
    """

    def __init__(self, rank_of: Callable[[str], Rank | None]) -> None:
        self._rank_of = rank_of
        self._ranks: dict[str, Rank] = {}
        self._heap: list[tuple[Rank, str]] = []
        self._changed: set[str] = set()

    def mark(self, name: str) -> None:
        """Mark a name that is new, or whose rank may have changed, or that no longer exists."""
        if len(self._changed) > len(self._ranks) + OUTDATED_MAX:
            self._apply_changes()
        self._changed.add(name)  # last, because its rank may only change after this call

    def first(self) -> str | None:
        """Return the name with the lowest rank, or None if there is none. The name breaks ties."""
        self._apply_changes()
        while self._heap:
            rank, name = self._heap[0]
            if self._ranks.get(name) == rank:
                return name
            heappop(self._heap)
        return None

    def lowest(self, count: int) -> list[str]:
        """Return the names with the lowest ranks, at most ``count``, lowest first."""
        found: list[tuple[Rank, str]] = []
        while len(found) < count and self.first() is not None:
            found.append(heappop(self._heap))
            while self._heap and self._heap[0] == found[-1]:  # a name can have the rank of an outdated entry again
                heappop(self._heap)
        for entry in found:
            heappush(self._heap, entry)
        return [name for _, name in found]

    def _apply_changes(self) -> None:
        for name in self._changed:
            rank = self._rank_of(name)
            if rank is None:
                self._ranks.pop(name, None)
            elif self._ranks.get(name) != rank:
                self._ranks[name] = rank
                heappush(self._heap, (rank, name))
        self._changed.clear()
        if len(self._heap) > 2 * len(self._ranks) + OUTDATED_MAX:
            self._heap = [(rank, name) for name, rank in self._ranks.items()]
            heapify(self._heap)
