"""The HTTP server of ``driftwire worker http``: it starts, accepts connections within limits, and stops gracefully."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from yarl import URL

from topologies.configuration import Configuration
from topologies.errors import DriftwireError
from topologies.http_server.answers import SERVER, HttpProblem
from topologies.http_server.endpoints import Endpoints
from topologies.http_server.message_writer import MessageWriter
from topologies.http_settings import HttpSettings
from topologies.terminal import echo

IDLE_TIMEOUT_S = 75.0
"""Seconds after which a connection without a complete header of a request is closed."""

DISCARD_TIMEOUT_S = 2.0
"""Maximum seconds in which the rest of a refused body is read and discarded, so the client sees the answer."""

STOP_TIMEOUT_S = 7.0
"""Maximum seconds to finish the requests in progress when the server stops."""

CONNECTIONS_MAX = 800
"""Maximum number of connections, below the usual limit of open files. Further connections are closed."""

logger = logging.getLogger("driftwire")


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
            logger.error("http: internal error in a connection", exc_info=exc)
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


async def run_http_server(configuration: Configuration, *, replay: bool) -> None:
    """Serve until SIGTERM or Ctrl-C. Print "http: ready on ADDRESS" when requests are accepted.

    Raises
    ------
    DriftwireError
        If the address cannot be used, or if Kafka does not answer.
    """
    http = configuration.http or HttpSettings()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    writer = MessageWriter(configuration.kafka.cluster)
    await writer.start()
    endpoints = Endpoints(configuration, http, writer, replay=replay)
    runner = web.ServerRunner(BoundedServer(endpoints.respond), handle_signals=False, shutdown_timeout=STOP_TIMEOUT_S)
    try:
        await runner.setup()
        echo(f"http: ready on {await _listen(runner, http)}")
        await stopped.wait()
    finally:
        await runner.cleanup()
        await endpoints.close()
        await writer.stop()


async def _listen(runner: web.ServerRunner, http: HttpSettings) -> str:
    """Accept connections, and return the address of the server."""
    host, port = http.address
    context = http.tls_context()
    site = web.TCPSite(runner, host, port, ssl_context=context)
    try:
        await site.start()
    except OSError as error:
        raise DriftwireError(
            f"the HTTP server cannot listen on {http.listen} ({error.strerror or error}): stop the program that uses it, "
            "or set http.listen to another address"
        ) from error
    host, port = runner.addresses[0][:2]
    return f"{'http' if context is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"
