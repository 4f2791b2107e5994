"""Webhook receiver that sends a CloudEvent by HTTP POST to a configured address.

Sources: CloudEvents 1.0, structured JSON; RFC 9110 for ``Retry-After``. The ``id`` of the event is the idempotency key:
a server should ignore repeated ids.
"""

import math
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from pipeline.route import Delivery, Dispatch, ReceiverSettings
from schemas.timestamp import format_timestamp

EVENT_TYPE = "org.driftwire.incident.v1"
EVENT_SOURCE = "urn:driftwire:route"
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"

FIRST_PAUSE_S = 0.5
"""Seconds before the second attempt. Each later pause is twice as long. A random part of up to half is subtracted."""

PAUSE_MAX_S = 10.0
"""Maximum seconds of a pause, unless the server requests a longer pause."""

TOO_MANY_REQUESTS = 429


class WebhookReceiver:
    """Receiver that posts incidents. It retries after connection errors, timeouts, and status 429 or 5xx.

    Other statuses outside 2xx are permanent failures. Attempts and pauses together take at most ``give_up_after_s``. A pause that the
    server requests with ``Retry-After`` is respected if it ends within this limit; otherwise the notification fails.
    Redirects are not followed. Reasons contain only the scheme, host and port of the address, because the rest may be a secret.

    Parameters
    ----------
    settings
        Settings of a receiver of kind ``webhook``.
    clock
        The wall clock, in Unix seconds, for timestamps and dates.
    monotonic
        A clock in seconds that does not jump, for time limits.
    sleep
        Coroutine function that waits for a number of seconds.
    jitter
        Function that returns a random number in [0, 1).

    Raises
    ------
    ValueError
        If the settings have no url.
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        jitter: Callable[[], float],
    ) -> None:
        if settings.url is None:
            raise ValueError(f"receiver {settings.name!r}: a webhook needs a url; add one")
        self._settings = settings
        self._url = settings.url.get_secret_value()
        self._origin = _origin(self._url)
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._jitter = jitter

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Post the incident, with retries."""
        body = orjson.dumps(cloud_event(dispatch))
        deadline = self._monotonic() + self._settings.give_up_after_s
        # Disable cookies, because a response must not influence the next notification.
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            for attempt in range(1, self._settings.attempts_max + 1):
                problem, requested_s = await self._post(session, body, deadline)
                if problem is None:
                    return Delivery("sent", dispatch.reason.text, attempt, sent_at=int(self._clock() * 1000))
                if requested_s is None:
                    return Delivery("failed", f"{self._origin} {problem}", attempt)
                if attempt == self._settings.attempts_max:
                    break
                pause_s = requested_s or self._pause_s(attempt)
                if self._monotonic() + pause_s >= deadline:
                    limit = f"the next attempt, in {pause_s:.1f} s, would exceed give_up_after_s"
                    return Delivery("failed", f"{self._origin} {problem}; {limit}", attempt)
                await self._sleep(pause_s)
        return Delivery("failed", f"{self._origin} {problem}; no success after attempt {attempt}", attempt)

    async def _post(
        self, session: aiohttp.ClientSession, body: bytes, deadline: float
    ) -> tuple[str | None, float | None]:
        """Make one attempt.

        Returns
        -------
        tuple
            The problem (None after a success), and the seconds until the next attempt that the server requested (None
            if a retry is useless, 0 if the server requested no pause).
        """
        limit_s = max(0.001, min(self._settings.timeout_s, deadline - self._monotonic()))
        try:
            async with session.post(
                self._url,
                data=body,
                headers={"Content-Type": CONTENT_TYPE},
                timeout=aiohttp.ClientTimeout(total=limit_s),
                allow_redirects=False,
            ) as response:
                status = response.status
                retry_after_s = _parse_retry_after(response.headers.get("Retry-After"), self._clock())
        except TimeoutError:
            return f"did not answer within {limit_s:.3g} s", 0.0
        except (aiohttp.InvalidURL, aiohttp.ClientSSLError) as error:
            return f"cannot be used ({type(error).__name__}): check its address and certificate", None
        except (aiohttp.ClientError, OSError) as error:
            return f"cannot be reached ({_cause(error)})", 0.0
        if 200 <= status < 300:
            return None, None
        if status == TOO_MANY_REQUESTS or status >= 500:
            return f"answered {status}", retry_after_s
        return f"answered {status}, which a retry would not change", None

    def _pause_s(self, attempt: int) -> float:
        full_s = min(PAUSE_MAX_S, FIRST_PAUSE_S * 2 ** (attempt - 1))
        return float(full_s * (1 - self._jitter() / 2))


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
