"""Count the requests of a stream per minute of event time.

A record belongs to the minute of its pane, so a late record counts in the minute in which it arrives. A request with a
sampling probability counts as 1 / probability requests.
"""

from collections import deque
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.signals import PANE_MS
from schemas.drift import MINUTE_MS

MINUTE_PANES = MINUTE_MS // PANE_MS
"""Number of panes per minute."""


class MinuteRequests(NamedTuple):
    """The requests of one minute that has ended.

    Attributes
    ----------
    minute
        The minute: Unix milliseconds // 60,000.
    requests
        Number of requests, or NaN if it is not known, because a record was sampled by outcome without its probability.
    squares
        Sum of the squared weights of its requests. Without sampling, it is the number of requests.
    empty_after
        Number of minutes without any record between this minute and the next minute with a record.
    """

    minute: int
    requests: float
    squares: float
    empty_after: int


class RequestCounts:
    """The requests of one stream per minute. Minutes that have ended wait until a block takes them.

    The first minute is not counted, because its first records are missing.
    """

    def __init__(self) -> None:
        self._minute: int | None = None
        self._is_partial = True
        self._requests = self._squares = 0.0
        self._ended: deque[MinuteRequests] = deque()

    def add(self, panes: NDArray[np.int64], is_request: NDArray[np.bool_], weights: NDArray[np.float64] | None) -> None:
        """Count records.

        Parameters
        ----------
        panes, is_request
            Shape ``(R,)``: panes of the records, which never decrease, and whether each record is a request.
        weights
            Shape ``(R,)``: number of requests that each record represents. None if every record represents one.
        """
        if not panes.size:
            return
        if self._minute == int(panes[-1]) // MINUTE_PANES:
            self._add_to_minute(is_request, weights)
            return
        minutes = panes // MINUTE_PANES
        if self._minute is None:
            self._minute = int(minutes[0])
        starts = np.flatnonzero(np.diff(minutes, prepend=self._minute)).tolist()
        bounds = [*starts, panes.size]
        self._add_to_minute(is_request[: bounds[0]], None if weights is None else weights[: bounds[0]])
        for start, end in pairwise(bounds):
            self._end_minute(int(minutes[start]))
            self._add_to_minute(is_request[start:end], None if weights is None else weights[start:end])

    def take(self, pane: int) -> list[MinuteRequests]:
        """Remove and return the minutes that ended before the minute of a pane, in order."""
        minute, taken = pane // MINUTE_PANES, []
        while self._ended and self._ended[0].minute < minute:
            taken.append(self._ended.popleft())
        return taken

    def count_between(self, first: int, last: int) -> float:
        """Return the requests of the minutes from ``first`` to ``last`` that have not been taken."""
        ended = sum(one.requests for one in self._ended if first <= one.minute <= last)
        is_current = self._minute is not None and first <= self._minute <= last and not self._is_partial
        return ended + (self._requests if is_current else 0.0)

    def dump(self) -> list[Any]:
        """Return the state for :meth:`load`."""
        return [self._minute, self._is_partial, self._requests, self._squares, [list(ended) for ended in self._ended]]

    def load(self, state: list[Any]) -> None:
        """Restore the state that :meth:`dump` returned."""
        self._minute, self._is_partial, self._requests, self._squares, ended = state
        self._ended = deque(MinuteRequests(*content) for content in ended)

    def _add_to_minute(self, is_request: NDArray[np.bool_], weights: NDArray[np.float64] | None) -> None:
        if weights is None:
            count = float(np.count_nonzero(is_request))
            self._requests += count
            self._squares += count
            return
        # The weights are added in order, so the sums do not depend on where batches end.
        of_requests = weights[is_request]
        self._requests = reduce(add, of_requests.tolist(), self._requests)
        self._squares = reduce(add, (of_requests * of_requests).tolist(), self._squares)

    def _end_minute(self, next_minute: int) -> None:
        if self._minute is not None and not self._is_partial:
            empty_after = next_minute - self._minute - 1
            self._ended.append(MinuteRequests(self._minute, self._requests, self._squares, empty_after))
        self._minute, self._is_partial = next_minute, False
        self._requests = self._squares = 0.0
