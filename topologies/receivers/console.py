"""Console receiver that prints incident cards on the standard output of the worker, for laptops and demos."""

from collections.abc import Callable
from typing import TextIO

from pipeline.route import Delivery, Dispatch, NoticeDispatch
from topologies.console import print_card
from topologies.messages import render_text, write_digest


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
        return self._print(lambda: self._print_cards(dispatch), dispatch.reason.text)

    async def deliver_notice(self, dispatch: NoticeDispatch) -> Delivery:
        """Print the digest as plain text."""
        message = write_digest(dispatch)
        text = f"{message.headline}\n\n{render_text(message)}\n\n"
        return self._print(lambda: self._stream.write(text), dispatch.reason.text)

    def _print_cards(self, dispatch: Dispatch) -> None:
        for member in dispatch.members:
            print_card(member.incident, self._stream)

    def _print(self, write: Callable[[], object], reason: str) -> Delivery:
        try:
            write()
        except (OSError, ValueError) as error:  # a closed pipe, or a closed file
            return Delivery("failed", f"cannot write to the console ({type(error).__name__})", 1)
        return Delivery("sent", reason, 1, sent_at=int(self._clock() * 1000))
