"""From a request to its answer: authenticate the client, read the body, check all of it, write it, and answer."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from pipeline.webhooks import PAYLOAD_BYTES_MAX
from topologies.configuration import Configuration
from topologies.http_server.backlog import Backlog, BacklogFull
from topologies.http_server.decoded_request import DecodedRequest, RequestContent
from topologies.http_server.deployment_requests import read_deployments
from topologies.http_server.items import CONTENT_TYPES
from topologies.http_server.message_writer import MessageTooLarge, MessageWriter, WriteFailed
from topologies.http_server.record_requests import read_records
from topologies.http_server.request_body import read_body
from topologies.http_server.telemetry_requests import CONTENT_TYPES as OTLP_TYPES
from topologies.http_server.telemetry_requests import read_telemetry, status_response, telemetry_mapping
from topologies.http_server.unseen_subjects import UnseenSubjects
from topologies.http_server.webhook_requests import read_webhook_request
from topologies.http_settings import HttpSettings
from topologies.listener import ClientAuthentication, HttpProblem, HttpResponse, json_response, retry_later

THREAD_ABOVE_BYTES = 32 * 1024
"""Maximum size of a body that is decoded without a thread. A thread costs more than it saves for a small body."""

RETRY_S = 1
"""Seconds after which a client should repeat a request. An exporter of OpenTelemetry gives up after 10 s in all, of which
an attempt takes 5 s while Kafka is away, so a longer time would be its end."""

WEBHOOKS_WAITING_MAX = 32
"""Maximum number of webhooks that are being read, checked or written to Kafka."""

PATHS = ("/v1/records", "/v1/deployments", "/v1/traces", "/v1/logs", "/v1/webhooks/NAME", "/healthz")

logger = logging.getLogger("driftwire")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path.

    Attributes
    ----------
    content_types
        Accepted content types. Empty if the sender of the request chooses it.
    read
        Function that decodes and checks a request.
    backlog, bytes_max
        Limits of the waiting requests, and maximum bytes of a body.
    has_own_proof
        Whether the sender proves itself by the request instead of a token.
    format_problem
        Function that formats a problem, given the content type of the request.
    """

    content_types: tuple[str, ...]
    read: Callable[[RequestContent], DecodedRequest]
    backlog: Backlog
    bytes_max: int
    has_own_proof: bool = False
    format_problem: Callable[[str, HttpProblem], HttpResponse] = lambda _, problem: problem.to_json()


class Endpoints:
    """All paths of the server.

    Parameters
    ----------
    configuration
        The configuration.
    http
        Settings of the server.
    writer
        The writer of messages.
    replay
        Whether the times of records are not compared with the clock.
    """

    def __init__(
        self, configuration: Configuration, http: HttpSettings, writer: MessageWriter, *, replay: bool
    ) -> None:
        self._writer = writer
        self._unseen_subjects = UnseenSubjects(configuration.kafka.cluster)
        self._authentication = ClientAuthentication(http)
        limits = (Backlog(http.waiting_requests_max, http.waiting_bytes_max), http.request_bytes_max)
        # Anyone can send to webhooks, so they have limits of their own.
        webhook_limits = (Backlog(WEBHOOKS_WAITING_MAX, WEBHOOKS_WAITING_MAX * PAYLOAD_BYTES_MAX), PAYLOAD_BYTES_MAX)
        # One thread: large bodies are decoded one at a time, which bounds the memory.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decode")
        time_zone = configuration.detect.time_zone
        traces = partial(read_telemetry, "traces", telemetry_mapping("traces", http.telemetry, time_zone))
        logs = partial(read_telemetry, "logs", telemetry_mapping("logs", http.telemetry, time_zone))
        records = partial(read_records, configuration.detect, replay=replay)
        self._endpoints = {
            "/v1/records": Endpoint(CONTENT_TYPES, records, *limits),
            "/v1/deployments": Endpoint(CONTENT_TYPES, read_deployments, *limits),
            "/v1/traces": Endpoint(OTLP_TYPES, traces, *limits, format_problem=status_response),
            "/v1/logs": Endpoint(OTLP_TYPES, logs, *limits, format_problem=status_response),
        } | {
            f"/v1/webhooks/{name}": Endpoint(
                (), partial(read_webhook_request, name, settings), *webhook_limits, has_own_proof=True
            )
            for name, settings in http.webhooks.items()
        }

    async def respond(self, request: web.BaseRequest) -> HttpResponse:
        """Answer a request."""
        endpoint, content_type = self._endpoints.get(request.path), request.content_type.lower()
        try:
            return await self._answer(request, endpoint, content_type)
        except HttpProblem as problem:
            is_known = endpoint is not None and content_type in endpoint.content_types
            return endpoint.format_problem(content_type, problem) if endpoint and is_known else problem.to_json()
        except ConnectionError:
            raise
        except Exception:
            logger.exception("http: internal error in a request to %s", _safe_path(request.path))
            return HttpProblem(500, "internal error: see the log of the server").to_json()

    async def close(self) -> None:
        """Stop decoding, and the check of subjects."""
        await self._unseen_subjects.stop()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, request: web.BaseRequest, endpoint: Endpoint | None, content_type: str) -> HttpResponse:
        if request.path == "/healthz":
            return await self._health(request)
        if endpoint is None:
            raise HttpProblem(404, f"there is nothing at this path: the paths are {', '.join(PATHS)}")
        if request.method != "POST":
            raise HttpProblem(405, "the method is not allowed: use POST", headers={"Allow": "POST"})
        if not endpoint.has_own_proof:
            self._authentication.check(request)
        if endpoint.content_types and content_type not in endpoint.content_types:
            types = ", ".join(endpoint.content_types)
            raise HttpProblem(415, f"the Content-Type is not supported: send one of {types}")
        try:
            with endpoint.backlog.admit() as reservation:
                body = await read_body(request, reservation, bytes_max=endpoint.bytes_max)
                headers = {name.lower(): value for name, value in request.headers.items()}
                content = RequestContent(content_type, headers, body, int(time.time() * 1000))
                decoded = await self._decode(endpoint, content)
                del body, content  # the messages are all that waits for Kafka
                return await self._write(decoded)
        except BacklogFull:
            raise retry_later(429, "too many requests are waiting: send it again later", RETRY_S) from None

    async def _decode(self, endpoint: Endpoint, content: RequestContent) -> DecodedRequest:
        if len(content.body) <= THREAD_ABOVE_BYTES:
            return endpoint.read(content)
        return await asyncio.get_running_loop().run_in_executor(self._thread, endpoint.read, content)

    async def _write(self, decoded: DecodedRequest) -> HttpResponse:
        if not decoded.outputs:
            return decoded.response
        try:
            await self._writer.write(decoded.outputs)
        except MessageTooLarge as error:
            raise HttpProblem(
                413,
                f"object {error.index} of the request has more than the {error.bytes_max:,} bytes that its topic allows: "
                "send less in one object; nothing of this request was written",
            ) from None
        except WriteFailed:
            raise retry_later(
                503, "Kafka did not confirm the messages: send the request again later", RETRY_S
            ) from None
        self._unseen_subjects.check(decoded.outputs)
        return decoded.response

    async def _health(self, request: web.BaseRequest) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            raise HttpProblem(405, "the method is not allowed: use GET", headers={"Allow": "GET, HEAD"})
        if not await self._writer.is_available():
            raise retry_later(503, "Kafka does not answer", RETRY_S)
        return json_response({"status": "ok"})


def _safe_path(path: str) -> str:
    return path if path.isascii() and len(path) < 100 else "an unknown path"
