"""A server with the published behaviour of PagerDuty's Events API v2, which sends webhooks V3 about its incidents."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import jsonschema
import orjson
from aiohttp import ClientSession, web

from tests.pipeline.webhooks.pagerduty_events import INTEGRATION, encode, incident_data
from tests.pipeline.webhooks.pagerduty_events import event as webhook_event
from tests.topologies.endpoint import serve
from topologies.receivers.pagerduty import EVENT_BYTES_MAX

KEY = "0123456789abcdef0123456789abcdef"
TEXT = {"type": "string"}
EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["routing_key", "event_action"],
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "minLength": 1, "maxLength": 255},
        "client": TEXT,
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                "source": {"type": "string", "minLength": 1},
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": {"type": "string", "format": "date-time"},
                "component": TEXT,
                "group": TEXT,
                "class": TEXT,
                "custom_details": {"type": "object", "additionalProperties": TEXT},
            },
            "additionalProperties": False,
        },
        "links": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["href"],
                "properties": {"href": {"type": "string", "format": "uri", "pattern": "^https?://"}, "text": TEXT},
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "else": {"required": ["dedup_key"]},
}
"""The event as PagerDuty publishes it, and as driftwire uses it."""

CHANGE_SCHEMA = {
    "type": "object",
    "required": ["routing_key", "payload"],
    "properties": {
        "routing_key": EVENT_SCHEMA["properties"]["routing_key"],
        "payload": {
            "type": "object",
            "required": ["summary"],
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                "source": {"type": "string", "minLength": 1},
                "timestamp": {"type": "string", "format": "date-time"},
                "custom_details": {"type": "object", "additionalProperties": TEXT},
            },
            "additionalProperties": False,
        },
        "links": EVENT_SCHEMA["properties"]["links"],
    },
    "additionalProperties": False,
}
"""The change event as PagerDuty publishes it, and as driftwire uses it."""


class PagerDuty:
    """A server on loopback with the published behaviour: the alerts by deduplication key, and who is notified.

    The title of an incident is the summary of the event that triggered it. If ``webhook_url`` is set, each change of an
    incident is sent there. ``webhooks`` has the types of the events and the answers.
    """

    def __init__(self) -> None:
        self.url = ""
        self.events: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self.statuses: dict[str, str] = {}
        self.severities: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        self.notified: list[str] = []
        self.webhook_url = ""
        self.webhooks: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[web.Response] = []

    async def enqueue_change(self, request: web.Request) -> web.Response:
        event = await self._read(request, CHANGE_SCHEMA)
        if isinstance(event, web.Response):
            return event
        self.changes.append(event)
        return web.json_response({"status": "success", "message": "Change event processed"}, status=202)

    async def enqueue(self, request: web.Request) -> web.Response:
        event = await self._read(request, EVENT_SCHEMA)
        if isinstance(event, web.Response):
            return event
        self.events.append(event)
        before = self.statuses.get(event["dedup_key"])
        self._apply(event)
        after = self.statuses.get(event["dedup_key"], "resolved" if before else None)
        if after is not None and after != before:
            await self._send_webhook(event["dedup_key"], after, INTEGRATION)
        return web.json_response(
            {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}, status=202
        )

    async def act(self, key: str, status: str, person: dict[str, str]) -> None:
        """Do what a person does in PagerDuty: acknowledge or resolve the incident of an alert."""
        if status == "resolved":
            del self.statuses[key]
        else:
            self.statuses[key] = status
        await self._send_webhook(key, status, person)

    async def _send_webhook(self, key: str, status: str, agent: dict[str, str]) -> None:
        if not self.webhook_url:
            return
        data = incident_data(title=self.titles[key], status=status)
        identity = {"id": str(uuid4()), "occurred_at": datetime.now(UTC).isoformat()}
        headers, body = encode(webhook_event(f"incident.{status}", data, agent=agent, **identity))
        async with ClientSession() as session, session.post(self.webhook_url, data=body, headers=headers) as answer:
            self.webhooks.append((f"incident.{status}", await answer.json()))

    async def _read(self, request: web.Request, schema: dict[str, Any]) -> dict[str, Any] | web.Response:
        """Return the event of a request, or its refusal."""
        body = await request.read()
        if self.answers:
            return self.answers.pop(0)
        event: dict[str, Any] = orjson.loads(body)
        problems = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(event)]
        if request.content_type != "application/json" or len(body) > EVENT_BYTES_MAX or problems:
            answer = {"status": "invalid event", "message": "Event object is invalid", "errors": problems}
            return web.json_response(answer, status=400)
        return event

    def _apply(self, event: dict[str, Any]) -> None:
        key, is_known = event["dedup_key"], event["dedup_key"] in self.statuses
        if event["event_action"] == "trigger":
            self.severities[key] = event["payload"]["severity"]
            if not is_known:
                self.statuses[key] = "triggered"
                self.titles[key] = event["payload"]["summary"]
                self.notified.append(key)
        elif is_known and event["event_action"] == "acknowledge":
            self.statuses[key] = "acknowledged"
        elif is_known:
            del self.statuses[key]


@asynccontextmanager
async def run_pagerduty() -> AsyncIterator[PagerDuty]:
    server = PagerDuty()
    application = web.Application(client_max_size=8 * EVENT_BYTES_MAX)
    application.router.add_post("/v2/enqueue", server.enqueue)
    application.router.add_post("/v2/change/enqueue", server.enqueue_change)
    async with serve(application) as address:
        server.url = address
        yield server
