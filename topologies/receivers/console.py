"""Console receiver that prints incident cards on the standard output of the worker, for laptops and demos."""

from collections.abc import Callable
from typing import TextIO

from pipeline.route import Delivery, Dispatch
from topologies.console import print_card


class ConsoleReceiver:
    """Receiver that prints each incident as a card, in colours on a terminal and as plain text elsewhere.

    Parameters
    ----------
    stream
        The output stream.
    clock
        The wall clock, in Unix seconds.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Print the card, or one card per incident of the group."""
        try:
            for member in dispatch.members:
                print_card(member.incident, self._stream)
        except (OSError, ValueError) as error:  # a closed pipe, or a closed file
            return Delivery("failed", f"cannot write to the console ({type(error).__name__})", 1)
        return Delivery("sent", dispatch.reason.text, 1, sent_at=int(self._clock() * 1000))
