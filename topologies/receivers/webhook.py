"""Webhook receiver that sends a CloudEvent by HTTP POST to a configured address.

Source: CloudEvents 1.0, structured JSON. The ``id`` of the event is the idempotency key: a server should ignore repeated
ids.
"""

from collections.abc import Callable
from typing import Any

import orjson

from pipeline.route import Delivery, Dispatch
from pipeline.route.receiver_settings import WebhookSettings
from schemas.timestamp import format_timestamp
from topologies.receivers.http import HttpAnswer, HttpClient
from topologies.receivers.secret import SecretUnavailable, read_web_address

EVENT_TYPE = "org.driftwire.incident.v1"
EVENT_SOURCE = "urn:driftwire:route"
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


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

    def __init__(self, settings: WebhookSettings, client: HttpClient, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Post the incident once."""
        try:
            url = read_web_address(self._settings.url, self._settings.url_file)
        except SecretUnavailable as error:
            return Delivery("retry", str(error), 1)
        body = orjson.dumps(cloud_event(dispatch))
        answer = await self._client.request("POST", url, {"Content-Type": CONTENT_TYPE}, body)
        if not isinstance(answer, HttpAnswer):
            return answer
        if not answer.is_success:
            return answer.failure()
        return Delivery("sent", dispatch.reason.text, 1, sent_at=int(self._clock() * 1000))


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
