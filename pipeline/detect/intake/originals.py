"""The originals: what a message was, exactly, for as long as it may still become a dead letter."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dead_letters import dead_letter
from pipeline.detect.intake.decode import element_index, message_index
from pipeline.step import Input, Output
from schemas.dead_letter import DeadLetterReason


@dataclass(frozen=True, slots=True)
class Original:
    """One message, or one element of an array as JSON; an :class:`pipeline.step.Input` either way."""

    topic: str
    partition: int
    offset: int
    index: int | None
    timestamp: int
    key: bytes | None
    value: bytes | None

    def dead_letter(self, reason: DeadLetterReason, detail: str) -> Output:
        """The dead letter of it."""
        return dead_letter("detect", self, reason, detail, index=self.index, value=self.value)

    def dump(self) -> list[Any]:
        """The fields, for a state."""
        return [self.topic, self.partition, self.offset, self.index, self.timestamp, self.key, self.value]


class Originals:
    """The originals of one batch by place.

    Parameters
    ----------
    messages
        The batch.
    arrays
        Indexes of the messages that are arrays.
    """

    def __init__(self, messages: Sequence[Input], arrays: set[int]) -> None:
        self._messages = messages
        self._arrays = arrays
        self._opened: tuple[int, list[bytes]] = (-1, [])

    def appended_at(self, places: Sequence[int]) -> NDArray[np.int64]:
        """When the broker took the messages at some places, Unix milliseconds."""
        by_message = np.fromiter((message.timestamp for message in self._messages), np.int64, len(self._messages))
        return by_message[message_index(np.array(places, dtype=np.int64))]

    def original_at(self, place: int) -> Original:
        """The message, or the element of it, at a place."""
        number = message_index(place)
        message = self._messages[number]
        index = element_index(place) if number in self._arrays else None
        value = message.value if index is None else self._element(number, index)
        return Original(message.topic, message.partition, message.offset, index, message.timestamp, message.key, value)

    def _element(self, number: int, index: int) -> bytes | None:
        value = self._messages[number].value
        if value is None:
            return None
        if self._opened[0] != number:
            self._opened = (number, elements_of(value))
        return self._opened[1][index]


_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]+|[\]}]+|,', re.DOTALL)
"""What can open, close or part something. A text is one token, so that what it holds can do neither."""


_BLANK = b" \t\r\n"


def elements_of(array: bytes) -> list[bytes]:
    r"""Cut the text of a JSON array where its elements end.

    Parameters
    ----------
    array
        One array of at least one element. It must have been parsed before: what is no JSON is cut anywhere.

    >>> elements_of(b'[{"a": [1, 2]}, "],", 1e400 ]')
    [b'{"a": [1, 2]}', b'"],"', b'1e400']
    """
    elements: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(array):
        mark = token[0]
        if mark[0] in b"[{":
            if not depth:
                start = token.start() + 1
            depth += len(mark)
        elif mark[0] in b"]}":
            depth -= len(mark)
            if not depth:
                elements.append(array[start : token.end() - 1].strip(_BLANK))
        elif depth == 1 and mark == b",":
            elements.append(array[start : token.start()].strip(_BLANK))
            start = token.end()
    return elements
