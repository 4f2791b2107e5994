"""Webhook receiver that sends a CloudEvent by HTTP POST to a configured address.

Sources: CloudEvents 1.0, structured JSON; RFC 9110 for ``Retry-After``. The ``id`` of the event is the idempotency key:
a server should ignore repeated ids.
"""

import math
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
import orjson

from pipeline.route import Delivery, Dispatch, ReceiverSettings
from pipeline.route.settings import is_webhook_address
from schemas.timestamp import format_timestamp

EVENT_TYPE = "org.driftwire.incident.v1"
EVENT_SOURCE = "urn:driftwire:route"
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"

RETRIED = (408, 425, 429)
"""Statuses below 500 after which a later attempt may succeed."""


class WebhookReceiver:
    """Receiver that posts incidents.

    A later attempt may succeed after a connection error, a bad certificate, a timeout, and status 408, 425, 429 or 5xx.
    Other statuses outside 2xx are permanent failures. ``Retry-After`` is respected. Redirects are not followed. Reasons
    contain only the scheme, host and port of the address, because the rest may be a secret.

    Parameters
    ----------
    settings
        Settings of a receiver of kind ``webhook``.
    clock
        The wall clock, in Unix seconds, for timestamps and dates.
    """

    def __init__(self, settings: ReceiverSettings, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._timeout_s = settings.timeout_s
        self._clock = clock

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Post the incident once."""
        try:
            url = self._read_url()
        except (OSError, ValueError) as error:
            problem = error.strerror if isinstance(error, OSError) else error
            return Delivery("retry", f"cannot use the url_file {self._settings.url_file}: {problem}", 1)
        origin = _origin(url)
        # Disable cookies, because a response must not influence the next notification.
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            try:
                async with session.post(
                    url,
                    data=orjson.dumps(cloud_event(dispatch)),
                    headers={"Content-Type": CONTENT_TYPE},
                    timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                    allow_redirects=False,
                ) as response:
                    return self._delivery(dispatch, origin, response.status, response.headers.get("Retry-After"))
            except TimeoutError:
                return _failure("retry", origin, f"did not answer within {self._timeout_s:.3g} s")
            except aiohttp.InvalidURL:
                return _failure("failed", origin, "is not a valid address: correct it")
            except aiohttp.ClientSSLError as error:
                return _failure("retry", origin, f"cannot be trusted ({type(error).__name__}): check its certificate")
            except (aiohttp.ClientError, OSError) as error:
                return _failure("retry", origin, f"cannot be reached ({_cause(error)})")

    def _read_url(self) -> str:
        """Return the address. It is read again for each attempt, so a new secret needs no restart."""
        if self._settings.url is not None:
            return self._settings.url.get_secret_value()
        url = Path(self._settings.url_file or "").read_text(encoding="utf-8").strip()
        if not is_webhook_address(url):
            raise ValueError("it must contain an http or https address with a host")
        return url

    def _delivery(self, dispatch: Dispatch, origin: str, status: int, retry_after: str | None) -> Delivery:
        now_s = self._clock()
        if 200 <= status < 300:
            return Delivery("sent", dispatch.reason.text, 1, sent_at=int(now_s * 1000))
        if status in RETRIED or status >= 500:
            return _failure("retry", origin, f"answered {status}", _parse_retry_after(retry_after, now_s))
        return _failure("failed", origin, f"answered {status}, which a retry would not change")


def _failure(outcome: Literal["retry", "failed"], origin: str, problem: str, retry_after_s: float = 0.0) -> Delivery:
    return Delivery(outcome, f"{origin} {problem}", 1, retry_after_s=retry_after_s)


def cloud_event(dispatch: Dispatch) -> dict[str, Any]:
    """Return the CloudEvent of a dispatch, as a JSON object."""
    incident = dispatch.incident
    return {
        "specversion": "1.0",
        "id": dispatch.notification_id,
        "source": EVENT_SOURCE,
        "type": EVENT_TYPE,
        "subject": incident.subject,
        "time": format_timestamp(incident.updated_at),
        "datacontenttype": "application/json",
        "data": incident.model_dump(mode="json", exclude_none=True),
    }


def _origin(url: str) -> str:
    """Return the scheme, host and port of an address. The other parts may be secret."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


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
