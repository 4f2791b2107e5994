"""A real HTTP server to send webhooks to."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Endpoint:
    """A real HTTP server: it gives the planned answers in order, the last one for ever, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[int | Answer] = [200]
        self.requests: list[tuple[Any, Any]] = []
        self.reached = asyncio.Event()
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.headers.copy(), orjson.loads(await request.read())))
        self.reached.set()
        planned = self.answers[min(len(self.requests), len(self.answers)) - 1]
        return web.Response(status=planned) if isinstance(planned, int) else await planned(request)


@asynccontextmanager
async def serving() -> AsyncIterator[Endpoint]:
    """An endpoint that listens on a free port."""
    served = Endpoint()
    application = web.Application()
    application.router.add_post("/in", served.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        await web.SockSite(runner, listening).start()
        served.url = f"http://127.0.0.1:{listening.getsockname()[1]}/in"
        yield served
        await runner.cleanup()
