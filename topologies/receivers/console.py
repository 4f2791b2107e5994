"""The console: incident cards on the standard output of the worker. What a laptop and a demo need, and nothing else."""

from collections.abc import Callable
from typing import TextIO

from pipeline.route import Delivery, Dispatch
from topologies.console import print_card


class ConsoleReceiver:
    """Prints each incident as a card: in colours on a terminal, as plain text anywhere else.

    Parameters
    ----------
    stream
        Where to.
    clock
        The wall clock, in Unix seconds.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Print the card."""
        try:
            print_card(dispatch.incident, self._stream)
        except (OSError, ValueError) as error:  # a closed pipe, or a closed file
            return Delivery("failed", f"the console cannot be written to ({type(error).__name__})", 1)
        return Delivery("sent", dispatch.reason, 1, sent_at=int(self._clock() * 1000))
