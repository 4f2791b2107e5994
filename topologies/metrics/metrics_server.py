"""The server of a worker's metrics and health: ``/metrics``, ``/healthz`` and ``/readyz``. It never asks Kafka."""

import logging
from collections.abc import Callable

from aiohttp import web

from topologies.listener import ClientAuthentication, HttpProblem, HttpResponse, Listener, json_response, retry_later
from topologies.metrics.worker_metrics import WorkerMetrics
from topologies.metrics_settings import MetricsSettings

PATHS = ("/metrics", "/healthz", "/readyz")

STOP_TIMEOUT_S = 1.0
"""Maximum seconds to finish the requests in progress when the worker stops."""

RETRY_S = 1
"""Seconds after which a client should ask again whether a worker is ready."""

logger = logging.getLogger("driftwire")


class MetricsServer:
    """The server of one worker. It runs in the event loop of the worker, so a worker that hangs does not answer.

    Parameters
    ----------
    settings
        Address, authentication and TLS.
    metrics
        The metrics of the worker.
    find_obstacle
        Function that returns why the worker is not ready, or None if it is ready.
    """

    def __init__(
        self, settings: MetricsSettings, metrics: WorkerMetrics, find_obstacle: Callable[[], str | None]
    ) -> None:
        self._metrics = metrics
        self._find_obstacle = find_obstacle
        self._authentication = ClientAuthentication(settings)
        self._listener = Listener(settings, self.respond, stop_timeout_s=STOP_TIMEOUT_S)

    async def start(self) -> str:
        """Accept connections, and return the address of the server.

        Raises
        ------
        DriftwireError
            If the address cannot be used.
        """
        return await self._listener.start()

    async def stop(self) -> None:
        """Close all connections."""
        await self._listener.stop()

    async def respond(self, request: web.BaseRequest) -> HttpResponse:
        """Answer a request."""
        try:
            return self._answer(request)
        except HttpProblem as problem:
            return problem.to_json()
        except Exception:
            logger.exception("internal error in a request for metrics or health")
            return HttpProblem(500, "internal error: see the log of the worker").to_json()

    def _answer(self, request: web.BaseRequest) -> HttpResponse:
        if request.path not in PATHS:
            raise HttpProblem(404, f"there is nothing at this path: the paths are {', '.join(PATHS)}")
        if request.method not in ("GET", "HEAD"):
            raise HttpProblem(405, "the method is not allowed: use GET", headers={"Allow": "GET, HEAD"})
        if request.path == "/metrics":
            self._authentication.check(request)
            return HttpResponse(200, *self._metrics.render(request.headers.get("Accept", "")))
        if request.path == "/readyz" and (obstacle := self._find_obstacle()) is not None:
            raise retry_later(503, obstacle, RETRY_S)
        return json_response({"status": "ok"})
