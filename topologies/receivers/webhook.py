"""Webhook receiver that sends a CloudEvent by HTTP POST to a configured address.

Sources: CloudEvents 1.0, structured JSON, and Standard Webhooks 1.0 for signatures. The ``id`` of the event is the
idempotency key: a server should ignore repeated ids.
"""

import base64
import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast
from urllib.parse import quote, urlsplit

import orjson

from pipeline.correlate.revision import add_drafts
from pipeline.route import Delivery, Dispatch, NoticeDispatch
from pipeline.route.receiver_settings import WebhookReceiverSettings, decode_signing_key, is_header_value
from schemas.notice import Digest
from schemas.timestamp import format_timestamp
from topologies.receivers.http import HttpAnswer, HttpClient
from topologies.receivers.secret import SecretUnavailable, read_secret, read_web_address

EVENT_TYPE = "org.driftwire.incident.v1"
DIGEST_EVENT_TYPE = "org.driftwire.digest.v1"
EVENT_SOURCE = "urn:driftwire:route"
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
BATCH_CONTENT_TYPE = "application/cloudevents-batch+json; charset=utf-8"

BATCH_BYTES_MAX = 1_000_000
"""Maximum bytes of a request with several incidents. Higher values send fewer requests, but a server may refuse them."""


class WebhookReceiver:
    """Receiver that posts incidents. An attempt succeeds if the server answers with a status of 2xx.

    Parameters
    ----------
    settings
        Settings of the webhook.
    client
        Client for the requests.
    clock
        The wall clock, in Unix seconds.
    """

    def __init__(self, settings: WebhookReceiverSettings, client: HttpClient, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Post the incident, or the incidents of the group, once. A large group takes several requests."""
        return await self._post_all(_split(dispatch), dispatch.reason.text)

    async def deliver_notice(self, dispatch: NoticeDispatch) -> Delivery:
        """Post the digest once."""
        body = orjson.dumps(digest_event(dispatch))
        return await self._post_all([([body], dispatch.notification_id)], dispatch.reason.text)

    async def _post_all(self, requests: Iterable[tuple[Sequence[bytes], str]], reason: str) -> Delivery:
        for bodies, identifier in requests:
            answer = await self._post(bodies, identifier)
            if not isinstance(answer, HttpAnswer):
                return answer
            if not answer.is_success:
                return answer.failure()
        return Delivery("sent", reason, 1, sent_at=int(self._clock() * 1000))

    async def _post(self, events: Sequence[bytes], identifier: str) -> HttpAnswer | Delivery:
        """Post one event, or several as a batch."""
        body = events[0] if len(events) == 1 else b"[" + b",".join(events) + b"]"
        try:
            url = read_web_address(self._settings.url, self._settings.url_file)
            headers = {
                "Content-Type": CONTENT_TYPE if len(events) == 1 else BATCH_CONTENT_TYPE,
                **self._read_headers(url),
                **self._sign(identifier, body),
            }
        except SecretUnavailable as error:
            return Delivery("retry", str(error), 1)
        return await self._client.request("POST", url, headers, body)

    def _read_headers(self, url: str) -> dict[str, str]:
        """Return the headers of the user."""
        headers = {name: read_secret(value, None, f"headers.{name}") for name, value in self._settings.headers.items()}
        for name, value in headers.items():
            if not is_header_value(value):
                raise SecretUnavailable(f"cannot use headers.{name}: it must be visible ASCII characters, on one line")
            if name.lower() == "authorization" and urlsplit(url).username is not None:
                raise SecretUnavailable(f"cannot use headers.{name}: the address contains a user; remove one of them")
        return headers

    def _sign(self, notification_id: str, body: bytes) -> dict[str, str]:
        """Return the headers of a signature, or none if there is no key."""
        if self._settings.secret is None and self._settings.secret_file is None:
            return {}
        try:
            key = decode_signing_key(read_secret(self._settings.secret, self._settings.secret_file, "secret"))
        except ValueError as error:
            source = "secret" if self._settings.secret_file is None else f"the secret_file {self._settings.secret_file}"
            raise SecretUnavailable(f"cannot use {source}: {error}") from None
        return signature_headers(key, message_id(notification_id), int(self._clock()), body)


def _split(dispatch: Dispatch) -> Iterator[tuple[list[bytes], str]]:
    """Yield the events of each request, with the id of the request."""
    members: list[Dispatch] = []
    events: list[bytes] = []
    for member in dispatch.members:
        event = orjson.dumps(cloud_event(member))
        if events and sum(map(len, events)) + len(event) > BATCH_BYTES_MAX:
            yield events, _part(dispatch, members).message_id
            members, events = [], []
        members.append(member)
        events.append(event)
    yield events, _part(dispatch, members).message_id


def _part(dispatch: Dispatch, members: Sequence[Dispatch]) -> Dispatch:
    """Return the message about some of the members of a message."""
    if dispatch.group_news is None:
        return dispatch
    return replace(members[0], group_news=replace(dispatch.group_news, dispatches=tuple(members)))


def message_id(notification_id: str) -> str:
    """Return the id of a notification, percent-encoded and without the full stops that separate the signed parts.

    >>> message_id("inc-3f9a21c0b7:1.2:on call")
    'inc-3f9a21c0b7:1%2E2:on%20call'
    """
    return quote(notification_id, safe=":").replace(".", "%2E")


def signature_headers(key: bytes, identifier: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that prove the origin of a request: its id, its time (Unix seconds) and its signature."""
    signature = hmac.digest(key, f"{identifier}.{timestamp}.".encode() + body, "sha256")
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def cloud_event(dispatch: Dispatch) -> dict[str, Any]:
    """Return the CloudEvent of a dispatch, as a JSON object."""
    incident = dispatch.incident
    head = _event_head(dispatch.notification_id, EVENT_TYPE, incident.subject, incident.updated_at)
    return {**head, "data": add_drafts(incident).model_dump(mode="json", exclude_none=True)}


def digest_event(dispatch: NoticeDispatch) -> dict[str, Any]:
    """Return the CloudEvent of a digest, as a JSON object."""
    digest = cast(Digest, dispatch.content)
    head = _event_head(dispatch.notification_id, DIGEST_EVENT_TYPE, digest.name, digest.until)
    return {**head, "data": digest.model_dump(mode="json", exclude_none=True)}


def _event_head(notification_id: str, event_type: str, subject: str, at: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": notification_id,
        "source": EVENT_SOURCE,
        "type": event_type,
        "subject": subject,
        "time": format_timestamp(at),
        "datacontenttype": "application/json",
    }
