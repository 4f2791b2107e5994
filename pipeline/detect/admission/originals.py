"""Store the original bytes of a batch for dead letters."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cloud_events import unwrap_cloud_event
from pipeline.dead_letters import dead_letter
from pipeline.detect.admission.decode import element_index, message_index, project
from pipeline.json_elements import BLANK
from pipeline.lenient_json import dump_json, parse_json
from pipeline.step import InputMessage, OutputMessage
from schemas.dead_letter import DeadLetterReason

PositionedOutput = tuple[int, OutputMessage]
"""The position of the record that caused an output, and the output. The outputs of a batch are sorted by position."""


@dataclass(frozen=True, slots=True)
class Original:
    """A message, or an element of an array as JSON. It implements :class:`pipeline.step.InputMessage`."""

    topic: str
    partition: int
    offset: int
    index: int | None
    timestamp: int
    key: bytes | None
    value: bytes | None

    def dead_letter(self, reason: DeadLetterReason, detail: str) -> OutputMessage:
        """Build the dead letter of the original."""
        return dead_letter("detect", self, reason, detail, index=self.index, value=self.value)

    def parse(self) -> tuple[dict[str, Any], bytes]:
        """Parse an original that was a record, and return its object and its bytes, as ``decode.py`` does."""
        value = self.value or b"null"
        parsed = parse_json(value)
        record = unwrap_cloud_event(parsed)
        is_whole_message = self.index is None and record is parsed
        return project(record), value if is_whole_message else dump_json(record)

    def dump(self) -> list[Any]:
        """Return the state for :meth:`load`."""
        return [self.topic, self.partition, self.offset, self.index, self.timestamp, self.key, self.value]

    @classmethod
    def load(cls, state: Sequence[Any]) -> "Original":
        """Restore an original."""
        return cls(*state)


class Originals:
    """The originals of one batch, by position.

    Parameters
    ----------
    messages
        The messages of the batch.
    array_indexes
        Indexes of the messages that are arrays.
    """

    def __init__(self, messages: Sequence[InputMessage], array_indexes: set[int]) -> None:
        self._messages = messages
        self._array_indexes = array_indexes
        self._split_index = -1
        self._elements: list[bytes] = []

    def append_times_ms(self, positions: Sequence[int]) -> NDArray[np.int64]:
        """Return the times at which the broker appended the messages at the given positions, in Unix milliseconds."""
        by_message = np.fromiter((message.timestamp for message in self._messages), np.int64, len(self._messages))
        return by_message[message_index(np.array(positions, dtype=np.int64))]

    def original_at(self, position: int) -> Original:
        """Return the message, or the element of an array, at a position."""
        number = message_index(position)
        message = self._messages[number]
        index = element_index(position) if number in self._array_indexes else None
        value = message.value if index is None else self._element(number, index)
        return Original(message.topic, message.partition, message.offset, index, message.timestamp, message.key, value)

    def dead_letter(self, position: int, reason: DeadLetterReason, detail: str) -> PositionedOutput:
        """Build the dead letter of the original at a position."""
        return position, self.original_at(position).dead_letter(reason, detail)

    def _element(self, number: int, index: int) -> bytes | None:
        value = self._messages[number].value
        if value is None:
            return None
        if self._split_index != number:
            self._split_index, self._elements = number, split_array(value)
        return self._elements[index]


_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]+|[\]}]+|,', re.DOTALL)
"""Tokens that open, close or separate values. A string is one token, so brackets and commas in it are not matched."""


def split_array(array: bytes) -> list[bytes]:
    r"""Split the bytes of a JSON array into the bytes of its elements.

    Parameters
    ----------
    array
        A JSON array with at least one element. It must be valid, because it is not checked again.

    >>> split_array(b'[{"a": [1, 2]}, "],", 1e400 ]')
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
                elements.append(array[start : token.end() - 1].strip(BLANK))
        elif depth == 1 and mark == b",":
            elements.append(array[start : token.start()].strip(BLANK))
            start = token.end()
    return elements
