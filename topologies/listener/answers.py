"""Answers before they are sent, and the problems that become answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from pipeline.plain_text import plain_text

JSON = "application/json"

SERVER = "driftwire"
"""Name of the server in its answers. Without it, aiohttp would add its version and that of Python."""

PLACES_MAX = 10
"""Maximum number of problems or warnings in an answer."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer before it is sent."""

    status: int
    content: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpProblem(Exception):
    """A request that the server refuses.

    Parameters
    ----------
    status
        Status of the answer.
    message
        What is wrong, and what to do, as a sentence. It contains no text of the body except identifiers.
    details
        Problems with their places, for programs.
    headers
        Further header fields of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        details: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = plain_text(message)
        self.details = details
        self.headers = headers or {}

    def to_json(self) -> HttpResponse:
        """Return the answer as JSON."""
        content: dict[str, Any] = {"error": self.message}
        if self.details:
            content["problems"] = self.details[:PLACES_MAX]
            content["problem_count"] = len(self.details)
        return HttpResponse(self.status, orjson.dumps(content) + b"\n", headers=self.headers)


def retry_later(status: int, message: str, seconds: int) -> HttpProblem:
    """Return a problem after which the client should repeat the request."""
    return HttpProblem(status, message, headers={"Retry-After": str(seconds)})


def json_response(content: Mapping[str, Any]) -> HttpResponse:
    """Return a successful answer."""
    return HttpResponse(200, orjson.dumps(content) + b"\n")
