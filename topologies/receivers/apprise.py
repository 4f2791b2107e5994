"""Apprise receiver: email, Microsoft Teams, Telegram and the other services that the library Apprise knows.

Source: the documentation of Apprise. Its calls block, so they run in threads with a time limit. It reports a refusal
only in its log lines. This receiver uses the status code in these lines. The rest of the lines may be secret and is
never shown.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.route import Delivery, Dispatch, NoticeDispatch
from pipeline.route.receiver_settings import AppriseSettings
from topologies.messages import (
    IncidentMessage,
    render_html,
    render_markdown,
    render_text,
    render_title,
    write_digest,
    write_message,
)
from topologies.receivers.http import refusal
from topologies.receivers.secret import SecretUnavailable, read_secret

if TYPE_CHECKING:
    from apprise import AppriseResult
    from apprise.plugins.base import NotifyBase

_STATUS = re.compile(r"\berror=(\d{3})\b")


class AppriseReceiver:
    """Receiver that notifies one service through Apprise.

    Parameters
    ----------
    settings
        Settings with the address of the service.
    timeout_s
        Seconds after which an attempt times out.
    clock
        The wall clock, in Unix seconds.
    """

    def __init__(self, settings: AppriseSettings, *, timeout_s: float, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._clock = clock

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Notify the service of the incident once."""
        kind = _notify_type(dispatch)
        return await self._attempt(write_message(dispatch), kind, dispatch.reason.text)

    async def deliver_notice(self, dispatch: NoticeDispatch) -> Delivery:
        """Notify the service of the digest once."""
        return await self._attempt(write_digest(dispatch), "info", dispatch.reason.text)

    async def _attempt(self, message: IncidentMessage, kind: str, reason: str) -> Delivery:
        try:
            url = read_secret(self._settings.url, self._settings.url_file, "url")
            service = await asyncio.to_thread(_load_service, url)
        except SecretUnavailable as error:
            return Delivery("retry", str(error), 1)
        result = await self._notify(service, message, kind)
        if result:
            return Delivery("sent", reason, 1, sent_at=int(self._clock() * 1000))
        return self._failure(str(service.service_name), result)

    async def _notify(self, service: "NotifyBase", message: IncidentMessage, kind: str) -> "AppriseResult":
        from apprise import Apprise, NotifyType  # noqa: PLC0415 its plugins take seconds to import

        sender = Apprise(asset=service.asset)
        sender.add(service)
        body_format = service.resolve_format()
        title, body = _render(message, body_format.value, has_title=service.title_maxlen > 0)
        return await sender.async_notify(
            body=body,
            title=title,
            notify_type=NotifyType(kind),
            body_format=body_format,
            timeout=self._timeout_s,
        )

    def _failure(self, service: str, result: "AppriseResult") -> Delivery:
        from apprise import AppriseResultStatus  # noqa: PLC0415

        if result.status == AppriseResultStatus.TIMEOUT:
            return Delivery("retry", f"{service} did not answer within {self._timeout_s:.3g} s", 1)
        statuses = [int(match[1]) for entry in result.logs() if (match := _STATUS.search(entry.message))]
        if not statuses:
            return Delivery("retry", f"{service} cannot be reached, or did not accept the message", 1)
        return refusal(service, statuses[-1])


def _load_service(url: str) -> "NotifyBase":
    """Return the service of an address.

    Raises
    ------
    SecretUnavailable
        If the secret is not a single address that Apprise knows.
    """
    from apprise import Apprise, AppriseAsset, OverflowMode  # noqa: PLC0415

    for name in ("apprise", "urllib3"):  # their lines contain addresses
        logging.getLogger(name).propagate = False
    asset = AppriseAsset(
        app_id="driftwire",
        app_desc="driftwire",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        http_redirects=False,
        pgp_autogen=False,
        pem_autogen=False,
    )
    service = Apprise.instantiate(url, asset=asset) if len(url.split()) == 1 else None
    if service is None:
        raise SecretUnavailable("cannot use the address: it must be a single address of a service that Apprise knows")
    if service.overflow_mode == OverflowMode.UPSTREAM:  # a service would refuse a long message
        service.overflow_mode = OverflowMode.SPLIT
    return service


def _render(message: IncidentMessage, body_format: str, *, has_title: bool) -> tuple[str, str]:
    """Return title and body in a format of Apprise. A service without titles has the headline in the body."""
    render = {"html": render_html, "markdown": render_markdown}.get(body_format, render_text)
    if has_title:
        return render_title(message), render(message)
    news = f"{message.headline} ({message.news})" if message.news else message.headline
    return "", render(replace(message, news=news))


def _notify_type(dispatch: Dispatch) -> str:
    """Return the kind of message for Apprise."""
    if not dispatch.still_open:
        return "success"
    return "failure" if dispatch.still_open[0].severity in ("P1", "P2") else "warning"
