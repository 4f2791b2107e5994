"""Parse messages into JSON objects, or into rejections with a reason. ``batch.py`` calls this module.

Messages are joined and parsed by one call, which costs half as much as one call per message. One message must never
change the result of another message. The joined text is therefore used only if it provably splits at the message
boundaries. Otherwise, the messages are parsed one by one.

JSON is parsed strictly according to RFC 8259. ``pipeline/lenient_json.py`` reads refused messages again: NaN, a number
beyond the range of a double, a lone surrogate or a string that is not UTF-8 becomes a bad value, and the rest of the
message is used. A byte order mark and more than 1,024 levels are errors.

A large record is projected onto the fields that detect reads, because other fields would use memory. The projection does
not change the result of reading: a field of the wrong type keeps its type, a label that is too long remains too long, and
a section with too many custom fields still has too many of them.

A message or an element of an array can be a CloudEvent with a record as its data. Joined messages are not searched for
them here: the reader finds them by their fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.cloud_events import is_cloud_event, unwrap_cloud_event
from pipeline.detect.signals import catalogue
from pipeline.json_elements import read_elements
from pipeline.lenient_json import dump_json
from schemas.dead_letter import DeadLetterReason
from schemas.record import ELEMENTS_MAX, SUBJECT_LENGTH_MAX

PROJECT_ABOVE_BYTES = 8192
"""Minimum size of a projected record, in bytes of JSON. For a smaller record, projection costs more than it saves."""

CUSTOM_FIELDS_MAX = 64
"""Maximum number of fields in the ``custom`` section of a record. A section with more fields is dropped."""

SECTIONS = ("infrastructure", "output", "data", "safety")
"""The sections whose field names the contract defines. The sender chooses the field names of ``custom``."""

EMBEDDING_FIELD = "embedding"
"""The only field that is a list. It is in the section ``data``."""

SECTION_FIELDS: dict[str, frozenset[str]] = {
    section: frozenset(row.field for row in (*catalogue.SIGNALS, *catalogue.CATEGORIES) if row.section == section)
    for section in SECTIONS
}
SECTION_FIELDS["data"] |= {EMBEDDING_FIELD}
"""The fields that detect reads, by section."""

LABEL_SECTIONS = ("versions", "segment")
"""The sections whose label names the sender chooses."""

LABEL_FIELDS_MAX = 8
"""Maximum number of labels that are read from a section of sender-chosen labels. Additional labels are ignored."""

OUTER_LABELS = ("request_id", "environment", "provider", "provider_model", "sampled")
"""Labels that detect reads outside any section."""

OUTER_FIELDS = ("subject", "timestamp", "sampling_probability", *OUTER_LABELS)
"""All fields that detect reads outside any section."""

_SENTINEL = 9_007_199_254_740_993
"""Separator between two messages. An integer has one spelling in JSON, and no float equals 2**53 + 1."""

_SEPARATOR = b",%d," % _SENTINEL
_DIGITS = b"%d" % _SENTINEL
_ELEMENT_BITS = 20

assert 1 << _ELEMENT_BITS > ELEMENTS_MAX  # noqa: S101  the bits of a position must hold every element


Position = TypeVar("Position", int, NDArray[np.int64])


def record_position(message: int, element: int = 0) -> int:
    """Return the position of a record in its batch. Positions sort in batch order.

    >>> record_position(1, 2) > record_position(1) > record_position(0, 7)
    True
    """
    return message << _ELEMENT_BITS | element


def message_index(position: Position) -> Position:
    """Return the index of a message in the batch, from a position or from an array of positions."""
    return position >> _ELEMENT_BITS


def element_index(position: int) -> int:
    """Return the index of an element in its message, from a position; 0 for a message that is not an array."""
    return position & ((1 << _ELEMENT_BITS) - 1)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A message, or one element of an array, that is not a record."""

    position: int
    reason: DeadLetterReason
    detail: str


@dataclass(slots=True)
class ParsedMessages:
    """Parsed messages.

    Attributes
    ----------
    objects, positions
        The JSON objects, in order, and their positions in the batch.
    contents
        The bytes of each object: the whole message, or the JSON of one array element or of the data of a CloudEvent.
    rejections
        The messages and elements that are not objects, in order.
    array_indexes
        Indexes of the messages that are arrays.
    """

    objects: list[dict[str, Any]] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    array_indexes: set[int] = field(default_factory=set)

    def unwrap_cloud_events(self) -> None:
        """Replace each object that is a CloudEvent by its data, or reject it."""
        objects, positions, contents = self.objects, self.positions, self.contents
        self.objects, self.positions, self.contents = [], [], []
        for fields, position, content in zip(objects, positions, contents, strict=True):
            self.add(fields, position, content)
        self.rejections.sort(key=attrgetter("position"))

    def add(self, fields: dict[str, Any], position: int, content: bytes) -> None:
        """Add an object. A CloudEvent is unwrapped."""
        if is_cloud_event(fields):
            try:
                fields = unwrap_cloud_event(fields)
            except ValueError as problem:
                self.rejections.append(Rejection(position, "contract", str(problem)))
                return
            content = dump_json(fields)
        self.objects.append(project(fields) if len(content) > PROJECT_ABOVE_BYTES else fields)
        self.positions.append(position)
        self.contents.append(content)


def parse_messages(values: Sequence[bytes | None], *, bytes_max: int, indexes: Sequence[int] = ()) -> ParsedMessages:
    """Parse the values of a few messages. One bad message slows down the parsing of all of them.

    Parameters
    ----------
    values
        Values of Kafka messages; None for a tombstone.
    bytes_max
        Maximum size of a value, in bytes. A longer value is rejected without being parsed.
    indexes
        Indexes of the values in the batch; by default 0, 1, ....

    >>> parsed = parse_messages([b'{"subject":"bot"}', b"[{},[]]", None], bytes_max=1024)
    >>> parsed.objects, [rejection.reason for rejection in parsed.rejections]
    ([{'subject': 'bot'}, {}], ['array_in_array', 'tombstone'])
    """
    parsed = ParsedMessages()
    indexes = indexes or range(len(values))
    texts = [value for value in values if value]
    objects = _parse_joined(texts, bytes_max) if len(texts) == len(values) else None
    if objects is not None:
        parsed.objects, parsed.contents = objects, texts
        parsed.positions = list(map(record_position, indexes))
    else:
        for index, value in zip(indexes, values, strict=True):
            _parse_one(parsed, index, value, bytes_max)
    return parsed


def _parse_joined(texts: Sequence[bytes], bytes_max: int) -> list[dict[str, Any]] | None:
    """Return one object per message, or None if it is not certain that every message is one small object."""
    if not texts or max(map(len, texts)) > min(bytes_max, PROJECT_ABOVE_BYTES):
        return None
    joined = b"[" + _SEPARATOR.join(texts) + b"]"
    # If no message contains the digits of the separator, every separator at the top level was inserted here. If all
    # inserted separators are at the top level, there is exactly one message, and one value, between two separators.
    if joined.count(_DIGITS) != len(texts) - 1:
        return None
    try:
        elements = orjson.loads(joined)
    except ValueError:
        return None
    if len(elements) != 2 * len(texts) - 1 or elements[1::2] != [_SENTINEL] * (len(texts) - 1):
        return None
    objects: list[dict[str, Any]] = elements[::2]
    return objects if set(map(type, objects)) == {dict} else None


def _parse_one(parsed: ParsedMessages, index: int, value: bytes | None, bytes_max: int) -> None:
    for element in read_elements(value, bytes_max=bytes_max):
        position = record_position(index, element.index or 0)
        if element.index is not None:
            parsed.array_indexes.add(index)
        if element.fields is None:
            parsed.rejections.append(Rejection(position, element.reason, element.detail))
            continue
        parsed.add(element.fields, position, element.content)


def project(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with only the fields that detect reads.

    >>> project({"subject": "bot", "note": "x", "output": {"length": 3, "text": "x" * 9000}, "data": 5})
    {'subject': 'bot', 'output': {'length': 3}, 'data': 5}
    """
    projected = {name: _shorten(record[name]) for name in OUTER_FIELDS if name in record}
    for section in SECTIONS:
        if section in record:
            content = record[section]
            if isinstance(content, dict):
                # Keep the sender's order, because it decides the order of a subject's signals.
                projected[section] = {
                    name: value if name == EMBEDDING_FIELD else _shorten(value)
                    for name, value in content.items()
                    if name in SECTION_FIELDS[section]
                }
            else:
                projected[section] = _shorten(content)
    for section in LABEL_SECTIONS:
        if section in record:
            projected[section] = _shorten_section(record[section], LABEL_FIELDS_MAX)
    if "custom" in record:
        projected["custom"] = _shorten_section(record["custom"], CUSTOM_FIELDS_MAX + 1)
    return projected


def _shorten_section(content: Any, fields_max: int) -> Any:
    if not isinstance(content, dict):
        return _shorten(content)
    return {_shorten(name): _shorten(value) for name, value in islice(content.items(), fields_max)}


def _shorten(value: Any) -> Any:
    if isinstance(value, str):
        return value[: SUBJECT_LENGTH_MAX + 1]
    if isinstance(value, list):
        # A label may be sent as a list of one.
        return [_shorten(value[0])] if len(value) == 1 and not isinstance(value[0], (list, dict)) else []
    if isinstance(value, dict):
        return {}
    return value
