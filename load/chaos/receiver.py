"""Local webhook receiver that can be slow or refuse requests."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

HOST = "127.0.0.1"
BODY_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Receipt:
    """An accepted notification. ``at_s`` is its time on a clock that does not jump, in seconds."""

    at_s: float
    notification_id: str
    incident_id: str
    revision: int
    severity: str
    status: str


class WebhookServer:
    """HTTP server that counts notifications.

    Attributes
    ----------
    receipts
        The accepted notifications in order. A request with the incidents of a group has several.
    messages_at_s
        Times of the accepted requests, on the clock of the receipts.
    accepted
        Number of accepted notifications by notification id.
    delay_s
        Seconds before each answer.
    refusals_left
        Number of upcoming requests that are answered with status 503.
    disturbed
        Number of requests that were delayed or refused.
    """

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.messages_at_s: list[float] = []
        self.accepted: Counter[str] = Counter()
        self.delay_s = 0.0
        self.refusals_left = 0
        self.disturbed = 0
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Address of the webhook. Valid once the server has started."""
        return f"http://{HOST}:{self.port}/"

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=BODY_BYTES_MAX)
        application.router.add_post("/", self._receive)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0)
        await site.start()
        addresses: list[Any] = self._runner.addresses
        self.port = int(addresses[0][1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        if self.delay_s or self.refusals_left:
            self.disturbed += 1
        if self.refusals_left:
            self.refusals_left -= 1
            return web.Response(status=503)
        await asyncio.sleep(self.delay_s)
        at_s = time.monotonic()
        self.messages_at_s.append(at_s)
        for event in body if isinstance(body, list) else [body]:
            self.accepted[event["id"]] += 1
            incident = event["data"]
            state = incident["incident_id"], incident["revision"], incident["severity"], incident["status"]
            self.receipts.append(Receipt(at_s, event["id"], *state))
        return web.Response(status=204)
