"""Bounds of the requests that wait for their answer: their number, and the bytes of their bodies."""

from collections.abc import Iterator
from contextlib import contextmanager


class BacklogFull(Exception):
    """No further request or byte can wait. The client should try again later."""


class Reservation:
    """The bytes of one waiting request."""

    def __init__(self, backlog: "Backlog") -> None:
        self._backlog = backlog
        self.reserved_bytes = 0

    def ensure(self, total_bytes: int) -> None:
        """Reserve more bytes if fewer than this number are reserved.

        Raises
        ------
        BacklogFull
            If the bytes of all waiting requests would exceed the limit.
        """
        if total_bytes > self.reserved_bytes:
            self._backlog.add_bytes(total_bytes - self.reserved_bytes)
            self.reserved_bytes = total_bytes


class Backlog:
    """All waiting requests of a server.

    Parameters
    ----------
    requests_max, bytes_max
        Limits of the number of requests and of the bytes of their bodies. Higher values accept longer bursts.

    >>> backlog = Backlog(requests_max=1, bytes_max=10)
    >>> with backlog.admit() as reservation:
    ...     reservation.ensure(8)
    ...     backlog.waiting_bytes
    8
    >>> backlog.waiting_bytes
    0
    """

    def __init__(self, requests_max: int, bytes_max: int) -> None:
        self._requests_max = requests_max
        self._bytes_max = bytes_max
        self.waiting_requests = 0
        self.waiting_bytes = 0

    @contextmanager
    def admit(self) -> Iterator[Reservation]:
        """Count a request as waiting in the body of this context.

        Raises
        ------
        BacklogFull
            If the limit of requests is reached.
        """
        if self.waiting_requests >= self._requests_max:
            raise BacklogFull
        self.waiting_requests += 1
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            self.waiting_requests -= 1
            self.waiting_bytes -= reservation.reserved_bytes

    def add_bytes(self, count: int) -> None:
        """Count more bytes as waiting. Use :meth:`Reservation.ensure` instead, which also releases them."""
        if self.waiting_bytes + count > self._bytes_max:
            raise BacklogFull
        self.waiting_bytes += count
