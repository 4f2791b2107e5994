"""A server with the published behaviour of PagerDuty's Events API v2."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jsonschema
import orjson
from aiohttp import web

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
    """A server on loopback with the published behaviour: the alerts by deduplication key, and who is notified."""

    def __init__(self) -> None:
        self.url = ""
        self.events: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self.statuses: dict[str, str] = {}
        self.severities: dict[str, str] = {}
        self.notified: list[str] = []
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
        self._apply(event)
        return web.json_response(
            {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}, status=202
        )

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
