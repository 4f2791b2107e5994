"""One HTTP request to a receiver, and what its answer means for the notification.

Source: RFC 9110 for ``Retry-After``.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
import orjson

from pipeline.route import Delivery

RETRIED = (408, 425, 429)
"""Statuses below 500 after which a later attempt may succeed."""

ANSWER_BYTES_MAX = 8 * 1024 * 1024
"""Maximum size of an answer that is read, in bytes."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The answer of a server.

    Attributes
    ----------
    origin
        Scheme, host and port of the server.
    status
        Status code.
    body
        The content, at most :data:`ANSWER_BYTES_MAX` bytes.
    retry_after_s
        Seconds of pause that the server requested, or 0.
    headers
        Header fields. Their names are in lower case.
    """

    origin: str
    status: int
    body: bytes
    retry_after_s: float
    headers: Mapping[str, str]

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Return the content as JSON, or None if it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def failure(self, detail: str = "") -> Delivery:
        """Return the outcome of an attempt that the server refused. ``detail`` is its reason, without secrets."""
        return refusal(self.origin, self.status, detail, self.retry_after_s)


class RequestRefused(Exception):
    """A server did not accept one of the requests of an attempt.

    Attributes
    ----------
    delivery
        The outcome of the attempt.
    code
        The server's error code, or an empty text.
    """

    def __init__(self, delivery: Delivery, code: str = "") -> None:
        super().__init__(delivery.reason)
        self.delivery = delivery
        self.code = code


class HttpClient:
    """Client that sends single requests.

    Reasons contain only the scheme, host and port of an address, because the rest may be a secret. Redirects are not
    followed.

    Parameters
    ----------
    timeout_s
        Seconds after which a request times out.
    clock
        The wall clock, in Unix seconds.
    """

    def __init__(self, timeout_s: float, clock: Callable[[], float]) -> None:
        self._timeout_s = timeout_s
        self._clock = clock

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> HttpAnswer | Delivery:
        """Send a request. Return the answer, or the outcome of the attempt if there is no answer.

        A later attempt may succeed after a connection error, a bad certificate or a timeout.
        """
        origin = origin_of(url)
        # Disable cookies, because a response must not influence the next notification.
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            try:
                async with session.request(
                    method,
                    url,
                    data=body,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                    allow_redirects=False,
                ) as response:
                    retry_after_s = _parse_retry_after(response.headers.get("Retry-After"), self._clock())
                    content = await _read_content(response.content)
                    names = {name.lower(): value for name, value in response.headers.items()}
                    return HttpAnswer(origin, response.status, content, retry_after_s, names)
            except TimeoutError:
                return _failure("retry", origin, f"did not answer within {self._timeout_s:.3g} s")
            except aiohttp.InvalidURL:
                return _failure("failed", origin, "is not a valid address: correct it")
            except aiohttp.ClientSSLError as error:
                return _failure("retry", origin, f"cannot be trusted ({type(error).__name__}): check its certificate")
            except (aiohttp.ClientError, OSError) as error:
                return _failure("retry", origin, f"cannot be reached ({_cause(error)})")


def refusal(server: str, status: int, detail: str = "", retry_after_s: float = 0.0) -> Delivery:
    """Return the outcome of an attempt that a server refused with a status. Temporary statuses are retried."""
    problem = f"answered {status}{f' ({detail})' if detail else ''}"
    if status in RETRIED or status >= 500:
        return _failure("retry", server, problem, retry_after_s)
    return _failure("failed", server, f"{problem}, which a retry would not change")


def origin_of(url: str) -> str:
    """Return the scheme, host and port of an address. The other parts may be secret."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


async def _read_content(stream: aiohttp.StreamReader) -> bytes:
    """Read to the end, or to :data:`ANSWER_BYTES_MAX`. One read returns only what has arrived."""
    content = bytearray()
    while len(content) < ANSWER_BYTES_MAX and (chunk := await stream.read(ANSWER_BYTES_MAX - len(content))):
        content += chunk
    return bytes(content)


def _failure(outcome: Literal["retry", "failed"], origin: str, problem: str, retry_after_s: float = 0.0) -> Delivery:
    return Delivery(outcome, f"{origin} {problem}", 1, retry_after_s=retry_after_s)


def _cause(error: Exception) -> str:
    """Return the type of a connection error. Its message is omitted, because aiohttp includes the address."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "unknown host"
    if isinstance(inner, OSError) and inner.strerror and not isinstance(error, aiohttp.ServerDisconnectedError):
        return type(inner).__name__
    return type(error).__name__


def _parse_retry_after(header: str | None, now: float) -> float:
    """Return the seconds in ``Retry-After``, which is a number or a date, or 0 if the header is invalid.

    >>> _parse_retry_after("7", now=0.0), _parse_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", now=50.0)
    (7.0, 10.0)
    >>> _parse_retry_after("soon", now=0.0)
    0.0
    """
    if not header:
        return 0.0
    try:
        seconds = float(header) if header.strip().isdecimal() else parsedate_to_datetime(header).timestamp() - now
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0
