"""A local server that receives OTLP over HTTP and keeps what it receives."""

from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

from tests.loopback_server import LoopbackServer, OwnedServer


@dataclass(frozen=True, slots=True)
class Export:
    """One export request: its path, such as ``/v1/traces``, its headers with names in lower case, and its body."""

    path: str
    headers: dict[str, str]
    body: bytes


class TelemetryServer(LoopbackServer):
    """Server on a free port of the loopback interface, in threads of this process.

    Parameters
    ----------
    respond
        Called with each export request, in the thread of the connection. It returns the HTTP status.

    Attributes
    ----------
    url
        Base URL, to which exporters append the path.
    exports
        The requests so far.
    """

    def __init__(self, respond: Callable[[Export], int] = lambda _export: 200) -> None:
        self.exports: list[Export] = []
        self._respond = respond
        super().__init__(_Connection, _Server)
        self.url = self.address

    def receive(self, export: Export) -> int:
        """Note an export request and return the HTTP status of the answer."""
        self.exports.append(export)
        return self._respond(export)


class _Server(OwnedServer):
    owner: TelemetryServer


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.send_response(self.server.owner.receive(Export(self.path, headers, body)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name in the standard library
        """Write no log."""
