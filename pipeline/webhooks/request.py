"""A checked request of a publisher, and what results from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.step import OutputMessage


class WebhookRefused(Exception):
    """A request that cannot be used.

    Attributes
    ----------
    status
        HTTP status of the answer: 400 for unusable content, 401 for a wrong signature or a replayed request, 413 for a
        body that is too large.
    message
        What is wrong and what to do. It never contains a secret or a text of the payload.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A request whose sender was checked.

    Attributes
    ----------
    headers
        By name in lower case.
    body
        The body as it was received.
    payload
        The JSON object in the body, or in the data of the body if it is a CloudEvent.
    now_ms
        Time of arrival, in Unix milliseconds.
    """

    headers: Mapping[str, str]
    body: bytes
    payload: dict[str, Any]
    now_ms: int


@dataclass(frozen=True, slots=True)
class WebhookResult:
    """What results from a request.

    Attributes
    ----------
    outputs
        Messages for Kafka.
    ignored
        Why nothing results from a valid request, or None. The answer is still a success.
    warnings
        What is unusual but was used.
    """

    outputs: list[OutputMessage] = field(default_factory=list)
    ignored: str | None = None
    warnings: list[str] = field(default_factory=list)
