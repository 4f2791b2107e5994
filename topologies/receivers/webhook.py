"""The webhook: an HTTP POST of a CloudEvent to an address of your own.

Sources: CloudEvents 1.0, structured JSON; RFC 9110 for ``Retry-After``. The event's ``id`` is the idempotency key: a
receiver that has seen an id does nothing the second time.
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
"""Seconds before the second attempt; each further pause is twice as long, less up to half of it by chance."""

PAUSE_MAX_S = 10.0
"""Seconds of the longest pause that we choose; one that the receiver asks for may be longer."""

TOO_MANY_REQUESTS = 429


class WebhookReceiver:
    """Posts incidents, and tries again where that can help: no connection, no answer in time, 429 and 5xx.

    Any other answer than 2xx is final. Attempts and pauses together stay within ``give_up_after_s``; a pause that the
    receiver asks for by ``Retry-After`` is kept if it ends within that, otherwise the notification has failed.
    Redirects are not followed. Reasons name scheme, host and port of the address only: the rest may be a secret.

    Parameters
    ----------
    settings
        Of a receiver of kind ``webhook``.
    clock
        The wall clock, in Unix seconds.
    sleep
        Waits for seconds.
    jitter
        A random number in [0, 1) each time.

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
        sleep: Callable[[float], Awaitable[None]],
        jitter: Callable[[], float],
    ) -> None:
        if settings.url is None:
            raise ValueError(f"receiver {settings.name!r}: a webhook needs a url")
        self._settings = settings
        self._url = settings.url.get_secret_value()
        self._place = _place(self._url)
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Post the incident, several times if need be."""
        body = orjson.dumps(cloud_event(dispatch))
        deadline = self._clock() + self._settings.give_up_after_s
        # No cookies: what one answer sets must not change the next notification.
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            for attempt in range(1, self._settings.attempts_max + 1):
                refusal, wait_s = await self._post(session, body, deadline)
                if refusal is None:
                    return Delivery("sent", dispatch.reason, attempt, sent_at=int(self._clock() * 1000))
                if wait_s is None:
                    return Delivery("failed", f"{self._place} {refusal}", attempt)
                if attempt == self._settings.attempts_max:
                    break
                pause_s = wait_s or self._pause_s(attempt)
                if self._clock() + pause_s >= deadline:
                    limit = f"the next attempt would be {pause_s:.1f} s later, beyond give_up_after_s"
                    return Delivery("failed", f"{self._place} {refusal}; {limit}", attempt)
                await self._sleep(pause_s)
        return Delivery("failed", f"{self._place} {refusal}; given up after attempt {attempt}", attempt)

    async def _post(
        self, session: aiohttp.ClientSession, body: bytes, deadline: float
    ) -> tuple[str | None, float | None]:
        """One attempt.

        Returns
        -------
        tuple
            What went wrong, None if nothing; and the seconds to wait before the next attempt: None if another is of no
            use, 0 if the receiver did not say.
        """
        limit_s = max(0.001, min(self._settings.timeout_s, deadline - self._clock()))
        try:
            async with session.post(
                self._url,
                data=body,
                headers={"Content-Type": CONTENT_TYPE},
                timeout=aiohttp.ClientTimeout(total=limit_s),
                allow_redirects=False,
            ) as response:
                status = response.status
                asked_s = _retry_after_s(response.headers.get("Retry-After"), self._clock())
        except TimeoutError:
            return f"did not answer within {limit_s:.3g} s", 0.0
        except (aiohttp.InvalidURL, aiohttp.ClientSSLError) as error:
            return f"cannot be used ({type(error).__name__}): check its address and certificate", None
        except (aiohttp.ClientError, OSError) as error:
            return f"cannot be reached ({_cause(error)})", 0.0
        if 200 <= status < 300:
            return None, None
        if status == TOO_MANY_REQUESTS or status >= 500:
            return f"answered {status}", asked_s
        return f"answered {status}, which another attempt would not change", None

    def _pause_s(self, attempt: int) -> float:
        full_s = min(PAUSE_MAX_S, FIRST_PAUSE_S * 2 ** (attempt - 1))
        return float(full_s * (1 - self._jitter() / 2))


def cloud_event(dispatch: Dispatch) -> dict[str, Any]:
    """The CloudEvent of a dispatch, as JSON."""
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


def _place(url: str) -> str:
    """Scheme, host and port: what of an address may be shown."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


def _cause(error: Exception) -> str:
    """What is wrong with a connection, without the address that aiohttp would put into it."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name is not known"
    if isinstance(inner, OSError) and inner.strerror and not isinstance(error, aiohttp.ServerDisconnectedError):
        return type(inner).__name__
    return type(error).__name__


def _retry_after_s(header: str | None, now: float) -> float:
    """The seconds that ``Retry-After`` asks for: a number, or a date; 0 if it says nothing usable.

    >>> _retry_after_s("7", now=0.0), _retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", now=50.0)
    (7.0, 10.0)
    >>> _retry_after_s("soon", now=0.0)
    0.0
    """
    if not header:
        return 0.0
    try:
        seconds = float(header) if header.strip().isdecimal() else parsedate_to_datetime(header).timestamp() - now
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0
