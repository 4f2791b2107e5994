"""Limit of the resources, scopes, spans and log records of an export request in Protobuf, before it is decoded.

An empty span has two bytes, and takes 140 bytes once it is decoded. Without the limit, a compressed request of 70 kB
would take gigabytes.

Source: Protocol Buffers encoding, https://protobuf.dev/programming-guides/encoding/
"""

from pipeline.intake.telemetry.otlp import UnreadableExportError
from schemas.record import ELEMENTS_MAX

FIELDS_MAX = 7 * ELEMENTS_MAX
"""Maximum number of fields of the request, its resources and its scopes: seven if each span has its own resource."""

_PATH = (1, 2)
"""Numbers of the fields of the resources of a request, and of the scopes of a resource."""

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_SIZES = {_FIXED_64: 8, _FIXED_32: 4}
_VARINT_BITS_MAX = 70


def check_size(value: bytes) -> None:
    r"""Refuse an export request with too many parts, without decoding it.

    Raises
    ------
    UnreadableExportError
        If there are more than :data:`FIELDS_MAX` fields above the spans or log records, or if the bytes are not Protobuf.

    >>> check_size(b"\n\x02\x12\x00")
    >>> check_size(b"\n\x00" * 120_000)
    Traceback (most recent call last):
    pipeline.intake.telemetry.otlp.UnreadableExportError: the message has too many parts: send fewer spans in one message
    """
    count = 0
    remaining = [(0, len(value), 0)]
    try:
        while remaining:
            position, end, level = remaining.pop()
            while position < end:
                count += 1
                if count > FIELDS_MAX:
                    raise UnreadableExportError(
                        "too_large", "the message has too many parts: send fewer spans in one message"
                    )
                tag, position = _read_varint(value, position)
                number, wire_type = tag >> 3, tag & 7
                if wire_type == _VARINT:
                    _, position = _read_varint(value, position)
                    continue
                if wire_type == _BYTES:
                    size, position = _read_varint(value, position)
                else:
                    size = _SIZES[wire_type]
                if position + size > end:
                    raise IndexError
                if wire_type == _BYTES and level < len(_PATH) and number == _PATH[level]:
                    remaining.append((position, position + size, level + 1))
                position += size
    except LookupError:
        raise UnreadableExportError("not_otlp", "the message is not complete Protobuf") from None


def _read_varint(value: bytes, position: int) -> tuple[int, int]:
    """Return the integer at a position and the position after it."""
    byte = value[position]
    if byte < 0x80:
        return byte, position + 1
    integer, bits = byte & 0x7F, 7
    while bits < _VARINT_BITS_MAX:
        position += 1
        byte = value[position]
        integer |= (byte & 0x7F) << bits
        if byte < 0x80:
            return integer, position + 1
        bits += 7
    raise IndexError
