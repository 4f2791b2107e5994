"""The parts of Kafka's protocol that the proxy reads and writes: request headers, transactions, error answers.

A frame is a request or an answer without its length. See https://kafka.apache.org/protocol for the layouts. The header
and the transaction of a request are decoded for all versions. Error answers are built for the versions that aiokafka
sends, with aiokafka's own classes.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

from aiokafka.protocol.api import RequestStruct
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import SyncGroupRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import EndTxnRequest
from aiokafka.protocol.types import Array, Bytes, String


class ApiKey(IntEnum):
    """Request types that the proxy can decode or break. The values are Kafka's."""

    PRODUCE = 0
    FETCH = 1
    METADATA = 3
    FIND_COORDINATOR = 10
    SYNC_GROUP = 14
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28
    DESCRIBE_CLUSTER = 60


_FIRST_FLEXIBLE_VERSION = {
    ApiKey.PRODUCE: 9,
    ApiKey.INIT_PRODUCER_ID: 2,
    ApiKey.ADD_PARTITIONS_TO_TXN: 3,
    ApiKey.ADD_OFFSETS_TO_TXN: 3,
    ApiKey.END_TXN: 3,
    ApiKey.TXN_OFFSET_COMMIT: 3,
}
"""First version with compact strings and tagged fields, for requests whose body is decoded."""

_PRODUCE_VERSION_WITH_TRANSACTIONS = 3

_ADD_PARTITIONS_VERSION_OF_BROKERS = 4
"""First version of ADD_PARTITIONS_TO_TXN that only brokers send. It holds several transactions."""

_CODE_FIRST = (ApiKey.INIT_PRODUCER_ID, ApiKey.ADD_OFFSETS_TO_TXN, ApiKey.END_TXN)
"""Requests whose answer starts with the throttle time and one error code."""

_STRUCTS: dict[tuple[int, int], type[RequestStruct]] = {
    (request.API_KEY, request.API_VERSION): request
    for request in RequestStruct.__subclasses__()
    if request.__module__
    in {kind.__module__ for kind in (FetchRequest, ProduceRequest, SyncGroupRequest, EndTxnRequest)}
}
"""Classes that decode a request, by API key and version."""


@dataclass(frozen=True, slots=True)
class WireRequest:
    """Decoded beginning of one request.

    Attributes
    ----------
    frame
        The request without its length.
    api_key, api_version, correlation_id, client_id
        Header of the request.
    transactional_id, producer_id, producer_epoch
        Transaction of the request. None if the request has none, or if its layout is not known.
    commits
        Whether an END_TXN commits. None for other requests.
    is_answered
        False for a PRODUCE with ``acks=0``, to which a broker does not reply.
    """

    frame: bytes
    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None
    transactional_id: str | None = None
    producer_id: int | None = None
    producer_epoch: int | None = None
    commits: bool | None = None
    is_answered: bool = True

    @classmethod
    def decode(cls, frame: bytes) -> Self:
        """Decode the header and the transaction of a request.

        >>> WireRequest.decode(bytes.fromhex("001a 0000 00000007 0001 61 0001 74 0000000000000005 0002 01")).commits
        True
        """
        api_key, version, correlation_id = struct.unpack_from(">hhi", frame)
        cursor = _Cursor(frame, 8)
        client_id = cursor.read_string()
        first_flexible = _FIRST_FLEXIBLE_VERSION.get(api_key)
        if first_flexible is not None and version >= first_flexible:
            cursor.skip_tags()
            cursor.is_flexible = True
        return cls(frame, api_key, version, correlation_id, client_id, **_transaction(api_key, version, cursor))

    def mentions(self, topic: str) -> bool:
        """Return whether the request contains the name of a topic. Later versions may contain its id instead."""
        return topic.encode() in self.frame


def build_error_answer(request: WireRequest, error_code: int) -> bytes:
    """Return the frame with which a broker refuses a request.

    The code is set for each partition of a request that lists partitions, and once otherwise.

    Raises
    ------
    ValueError
        If the layout of this request or version is not known.
    """
    layout = _STRUCTS.get((request.api_key, request.api_version))
    if layout is None:
        raise ValueError(f"no error answer is known for version {request.api_version} of API {request.api_key}")
    body = _Cursor(request.frame, 8)
    body.read_string()
    topics = getattr(layout.decode(request.frame[body.position :]), "topics", None) or []
    schema = layout.RESPONSE_TYPE.SCHEMA
    fields = list(zip(schema.names, schema.fields, strict=True))
    per_partition = any(name in {"topics", "errors"} for name, _ in fields)
    values = [
        [_topic_error(field.array_of, topic, partitions, error_code) for topic, partitions, *_ in topics]
        if name in {"topics", "errors"}
        else error_code
        if name == "error_code" and not per_partition
        else _empty_value(field)
        for name, field in fields
    ]
    return struct.pack(">i", request.correlation_id) + bytes(schema.encode(values))


def read_error_code(request: WireRequest, answer: bytes) -> int | None:
    """Return the error code of an answer to INIT_PRODUCER_ID, ADD_OFFSETS_TO_TXN or END_TXN, and None for others.

    >>> request = WireRequest.decode(bytes.fromhex("001a 0000 00000007 0001 61 0001 74 0000000000000005 0002 01"))
    >>> read_error_code(request, bytes.fromhex("00000007 00000000 002f"))
    47
    """
    if request.api_key not in _CODE_FIRST:
        return None
    is_flexible = request.api_version >= _FIRST_FLEXIBLE_VERSION[ApiKey(request.api_key)]
    # The throttle time follows the correlation id and the empty tags of a flexible header.
    return int(struct.unpack_from(">h", answer, 9 if is_flexible else 8)[0])


class _Cursor:
    """Position in a frame from which fields are read."""

    def __init__(self, frame: bytes, position: int) -> None:
        self._frame = frame
        self.position = position
        self.is_flexible = False

    def read_number(self, layout: str) -> int:
        value = struct.unpack_from(layout, self._frame, self.position)[0]
        self.position += struct.calcsize(layout)
        return int(value)

    def read_string(self) -> str | None:
        length = self._read_varint() - 1 if self.is_flexible else self.read_number(">h")
        if length < 0:
            return None
        self.position += length
        return self._frame[self.position - length : self.position].decode()

    def skip_tags(self) -> None:
        for _ in range(self._read_varint()):
            self._read_varint()
            self.position += self._read_varint()

    def _read_varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._frame[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value


def _transaction(api_key: int, version: int, cursor: _Cursor) -> dict[str, Any]:
    match api_key:
        case ApiKey.PRODUCE if version >= _PRODUCE_VERSION_WITH_TRANSACTIONS:
            return {"transactional_id": cursor.read_string(), "is_answered": cursor.read_number(">h") != 0}
        case ApiKey.PRODUCE:
            return {"is_answered": cursor.read_number(">h") != 0}
        case ApiKey.INIT_PRODUCER_ID:
            return {"transactional_id": cursor.read_string()}
        case ApiKey.ADD_PARTITIONS_TO_TXN if version >= _ADD_PARTITIONS_VERSION_OF_BROKERS:
            return {}
        case ApiKey.ADD_PARTITIONS_TO_TXN | ApiKey.ADD_OFFSETS_TO_TXN | ApiKey.END_TXN | ApiKey.TXN_OFFSET_COMMIT:
            transactional_id = cursor.read_string()
            if api_key == ApiKey.TXN_OFFSET_COMMIT:
                cursor.read_string()  # the consumer group
            return {
                "transactional_id": transactional_id,
                "producer_id": cursor.read_number(">q"),
                "producer_epoch": cursor.read_number(">h"),
                "commits": bool(cursor.read_number(">b")) if api_key == ApiKey.END_TXN else None,
            }
        case _:
            return {}


def _topic_error(schema: Any, topic: str, partitions: list[Any], error_code: int) -> list[Any]:
    """Return a topic's entry in an answer: its name, and the error of each partition."""
    rows = schema.fields[1].array_of
    return [
        topic,
        [
            [
                (partition if isinstance(partition, int) else partition[0])
                if name == "partition"
                else error_code
                if name == "error_code"
                else _empty_value(field)
                for name, field in zip(rows.names, rows.fields, strict=True)
            ]
            for partition in partitions
        ],
    ]


def _empty_value(field: Any) -> Any:
    if isinstance(field, Array):
        return []
    return None if field is Bytes or isinstance(field, String) else 0
