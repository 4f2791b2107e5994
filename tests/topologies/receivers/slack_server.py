"""A server that behaves as Slack's documentation says: methods, errors with status 200, limits, rate limits."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

from tests.topologies.endpoint import serve

TOKEN = "xoxb-secret-token"
CHANNEL = "C0123ABCD"
WEBHOOK = "/services/T000/B000/secret-path"

Plan = Callable[[web.Request], Awaitable[web.StreamResponse]] | str | None
"""What the next request gets: an answer of its own, the name of an error, or what Slack would answer."""


class SlackServer:
    """The messages of one channel, and what was asked of the server."""

    def __init__(self) -> None:
        self.address = ""
        self.messages: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.plans: list[Plan] = []

    @property
    def top_level(self) -> list[dict[str, Any]]:
        return [message for message in self.messages.values() if "thread_ts" not in message]

    def replies(self, timestamp: str) -> list[dict[str, Any]]:
        return [message for message in self.messages.values() if message.get("thread_ts") == timestamp]

    async def method(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        arguments = orjson.loads(await request.read())
        self.calls.append((name, arguments))
        assert request.headers["Content-Type"] == "application/json; charset=utf-8"
        planned = self.plans.pop(0) if self.plans else None
        if callable(planned):
            return await planned(request)
        error = planned or self._error(request, name, arguments)
        if error is not None:
            return web.json_response({"ok": False, "error": error})
        if name == "chat.update":
            self.messages[arguments["ts"]] |= arguments
            return web.json_response({"ok": True, "channel": arguments["channel"], "ts": arguments["ts"]})
        timestamp = f"1795489961.{len(self.messages):06d}"
        self.messages[timestamp] = arguments
        return web.json_response({"ok": True, "channel": CHANNEL, "ts": timestamp, "message": {"text": "..."}})

    async def webhook(self, request: web.Request) -> web.StreamResponse:
        content = orjson.loads(await request.read())
        self.calls.append(("webhook", content))
        planned = self.plans.pop(0) if self.plans else None
        if callable(planned):
            return await planned(request)
        check_content(content)
        return web.Response(text="ok")

    def _error(self, request: web.Request, name: str, arguments: dict[str, Any]) -> str | None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return "invalid_auth"
        if arguments.get("channel") not in (CHANNEL, "alerts"):
            return "channel_not_found"
        if name == "chat.update" and (arguments["channel"] != CHANNEL or arguments["ts"] not in self.messages):
            return "message_not_found"
        check_content(arguments)
        return None


def check_content(content: dict[str, Any]) -> None:
    """Check a message against the published limits and shapes of Block Kit."""
    assert content["text"]
    assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", content["text"])
    assert len(content["blocks"]) <= 50
    assert len(orjson.dumps(content).decode()) < 13_200
    for block in content["blocks"]:
        if block["type"] == "header":
            assert block["text"]["type"] == "plain_text"
            assert 1 <= len(block["text"]["text"]) <= 150
        else:
            assert block["type"] == "rich_text"
            assert block["elements"]
            for element in block["elements"]:
                check_element(element)


def check_element(element: dict[str, Any]) -> None:
    assert element["type"] in ("rich_text_section", "rich_text_preformatted")
    assert element["elements"]
    for part in element["elements"]:
        assert part["type"] in ("text", "link")
        assert part["text"]
        if part["type"] == "link":
            assert re.fullmatch(r"https?://[!-;=?-~]+", part["url"])
        assert part.get("style", {"bold": True}) == {"bold": True}


@asynccontextmanager
async def run_slack() -> AsyncIterator[SlackServer]:
    """Run the server on a free port."""
    server = SlackServer()
    application = web.Application()
    application.router.add_post("/api/{method}", server.method)
    application.router.add_post(WEBHOOK, server.webhook)
    async with serve(application) as address:
        server.address = address
        yield server
