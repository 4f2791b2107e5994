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
    """A real HTTP server that gives planned answers in order, repeats the last one, and stores the requests."""

    def __init__(self) -> None:
        self.answers: list[int | Answer] = [200]
        self.requests: list[tuple[Any, Any]] = []
        self.reached = asyncio.Event()
        self.url = ""

    async def respond(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.headers.copy(), orjson.loads(await request.read())))
        self.reached.set()
        planned_answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        return web.Response(status=planned_answer) if isinstance(planned_answer, int) else await planned_answer(request)


def free_port() -> int:
    """Return a port of the loopback address that nobody uses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@asynccontextmanager
async def serve(application: web.Application) -> AsyncIterator[str]:
    """Run an application on a free port, and yield its address."""
    runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        await web.SockSite(runner, listener).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            await runner.cleanup()


@asynccontextmanager
async def run_endpoint() -> AsyncIterator[Endpoint]:
    """Run an endpoint on a free port."""
    endpoint = Endpoint()
    application = web.Application()
    application.router.add_post("/in", endpoint.respond)
    application.router.add_post("/in/api/v2/alerts", endpoint.respond)
    async with serve(application) as address:
        endpoint.url = f"{address}/in"
        yield endpoint
