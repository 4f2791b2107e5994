"""A server that accepts connections within limits, and stops gracefully."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from yarl import URL

from topologies.errors import DriftwireError
from topologies.listener.answers import SERVER, HttpProblem, HttpResponse
from topologies.listener_settings import ListenerSettings

IDLE_TIMEOUT_S = 75.0
"""Seconds after which a connection without a complete header of a request is closed."""

DISCARD_TIMEOUT_S = 2.0
"""Maximum seconds in which the rest of a refused body is read and discarded, so the client sees the answer."""

CONNECTIONS_MAX = 800
"""Maximum number of connections, below the usual limit of open files. Further connections are closed."""

logger = logging.getLogger("driftwire")


class Listener:
    """The server at one address.

    Parameters
    ----------
    settings
        Address and TLS.
    respond
        Coroutine function that answers a request.
    stop_timeout_s
        Maximum seconds to finish the requests in progress when the server stops.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        respond: Callable[[web.BaseRequest], Awaitable[HttpResponse]],
        *,
        stop_timeout_s: float,
    ) -> None:
        self._settings = settings
        self._respond = respond
        self._stop_timeout_s = stop_timeout_s
        self._runner: web.ServerRunner | None = None

    async def start(self) -> str:
        """Accept connections, and return the address of the server.

        Raises
        ------
        DriftwireError
            If the address cannot be used.
        """
        settings = self._settings
        host, port = settings.address
        context = settings.tls_context()
        server = BoundedServer(self._answer)
        runner = self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=self._stop_timeout_s)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, ssl_context=context).start()
        except OSError as error:
            raise DriftwireError(
                f"the server cannot listen on {settings.listen} ({error.strerror or error}): stop the program that uses it, "
                f"or set {settings.prefix}listen to another address"
            ) from error
        host, port = runner.addresses[0][:2]
        return f"{'http' if context is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"

    async def stop(self) -> None:
        """Finish the requests in progress, and close all connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        response = await self._respond(request)
        return web.Response(
            status=response.status,
            body=response.content,
            headers={"Content-Type": response.content_type, "Server": SERVER, **response.headers},
        )


class Connection(web.RequestHandler):
    """Connection that answers bytes that are not HTTP without repeating or logging them."""

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002  aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  it contains bytes of the request
    ) -> web.StreamResponse:
        """Return the answer to a request that no endpoint can answer, and close the connection."""
        text = "the request is not valid HTTP, or its header is too long: check Content-Length and the address"
        if status >= 500 and not isinstance(exc, ConnectionError):
            logger.error("internal error in a connection", exc_info=exc)
            text = "internal error: see the log of the server"
        problem = HttpProblem(status, text).to_json()
        headers = {"Content-Type": problem.content_type, "Server": SERVER}
        response = web.Response(status=status, body=problem.content, headers=headers)
        response.force_close()
        return response


def _make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """Return a request. aiohttp's parser passes some bytes that are not HTTP on as a request without an address."""
    if message.url is None:
        message = message._replace(url=URL("/"))
    return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())


class BoundedServer(web.Server):
    """Server with a limit of connections.

    Parameters
    ----------
    respond
        Coroutine function that answers a request.
    """

    def __init__(self, respond: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(respond, request_factory=_make_request)

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            auto_decompress=False,
            keepalive_timeout=IDLE_TIMEOUT_S,
            lingering_time=DISCARD_TIMEOUT_S,
        )

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Close a connection beyond the limit."""
        super().connection_made(handler, transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.abort()
