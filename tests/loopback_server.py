"""A local HTTP server in threads of the test process."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class OwnedServer(ThreadingHTTPServer):
    """The server of the standard library, with the object that started it."""

    daemon_threads = True
    owner: Any


class LoopbackServer:
    """Server on a free port of the loopback interface. A handler reaches it as ``self.server.owner``.

    Parameters
    ----------
    handler
        Class of the handlers of connections.
    server
        Class of the server.

    Attributes
    ----------
    address
        URL of the server without a path.
    """

    def __init__(self, handler: type[BaseHTTPRequestHandler], server: type[OwnedServer] = OwnedServer) -> None:
        self._server = server(("127.0.0.1", 0), handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
