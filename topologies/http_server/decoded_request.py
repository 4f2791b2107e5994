"""A request after its body was read, and what results from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.step import OutputMessage
from topologies.listener import HttpResponse


@dataclass(frozen=True, slots=True)
class RequestContent:
    """A request whose body was read.

    Attributes
    ----------
    content_type
        Content type without parameters, in lower case.
    headers
        Header fields, by their names in lower case.
    body
        The body, decompressed.
    now_ms
        Time of arrival, in Unix milliseconds.
    """

    content_type: str
    headers: Mapping[str, str]
    body: bytes
    now_ms: int


class DecodedRequest(NamedTuple):
    """What results from a request: the messages to write, and the answer after Kafka has them."""

    outputs: list[OutputMessage]
    response: HttpResponse
