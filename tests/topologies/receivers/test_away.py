"""Receivers that are away in every way, on real sockets: each is told the newest state when it is back, and no other waits."""

import asyncio
import ssl
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from pipeline.route import RouteSettings, RouteStep
from schemas.notification import Notification
from schemas.topics import DEAD_LETTERS, NOTIFICATIONS
from tests.pipeline.route.samples import alert, incident
from tests.security.certificates import make_authority, make_certificate
from tests.topologies.endpoint import free_port
from topologies.receivers import NotificationSender, build_receivers

AWAY_S = 4.0
WAYS = ("hangs", "broken", "limited", "refused")


class Service:
    """The receivers' side. Until they are back, they hang, answer 500 or 429, or do not listen."""

    def __init__(self) -> None:
        self.is_back = asyncio.Event()
        self.all_are_told = asyncio.Event()
        self.arrived: dict[str, list[int]] = defaultdict(list)

    async def receive(self, request: web.Request) -> web.Response:
        way = request.match_info["way"]
        if way in WAYS and not self.is_back.is_set():
            if way == "hangs":
                await self.is_back.wait()
            return web.Response(status=429 if way == "limited" else 500, headers={"Retry-After": "1"})
        event = orjson.loads(await request.read())
        self.arrived[way].append(event["data"]["revision"])
        if all(self.arrived[name] for name in WAYS):
            self.all_are_told.set()
        return web.Response()

    @asynccontextmanager
    async def listen(self, port: int = 0, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        """Listen on a port of the loopback address, and return it."""
        application = web.Application()
        application.router.add_post("/{way}", self.receive)
        runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context)
        await site.start()
        try:
            yield int(runner.addresses[0][1])
        finally:
            await runner.cleanup()


def settings(port: int, closed_port: int, tls_port: int) -> RouteSettings:
    ports = {"refused": closed_port}
    receivers = [
        {"name": name, "webhook": {"url": f"http://127.0.0.1:{ports.get(name, port)}/{name}"}}
        | {"timeout_s": 0.5, "retry_interval_max_s": 1.0}
        for name in (*WAYS, "healthy", "fallback")
    ]
    untrusted = {"name": "untrusted", "webhook": {"url": f"https://127.0.0.1:{tls_port}/untrusted"}}
    untrusted |= {"fallback": "fallback", "fallback_after_s": 2.0}
    return RouteSettings.model_validate(
        {"receivers": [*receivers, untrusted], "default_receivers": [*WAYS, "healthy", "untrusted"]}
    )


class Route:
    """The step and its sender, run as the worker runs them, without Kafka."""

    def __init__(self, routes: RouteSettings) -> None:
        self.step = RouteStep(routes, int(time.time() * 1000))
        self.sender = NotificationSender(build_receivers(routes, replay=False))
        self.notes: list[Notification] = []
        self.dead_letters = 0

    async def run(self) -> None:
        while True:
            outputs = self.step.tick(int(time.time() * 1000)) + await self.sender.exchange(self.step)
            self.dead_letters += len([output for output in outputs if output.topic == DEAD_LETTERS])
            self.notes += [
                Notification.from_json(output.value or b"") for output in outputs if output.topic == NOTIFICATIONS
            ]
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_receivers_that_were_away_are_told_the_newest_state_and_the_others_were_never_late(
    tmp_path: Path,
) -> None:
    service, closed_port = Service(), free_port()
    certificate = make_certificate(tmp_path, make_authority(tmp_path), "receiver", "IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    async with service.listen() as port, service.listen(context=context) as tls_port, asyncio.TaskGroup() as tasks:
        route = Route(settings(port, closed_port, tls_port))
        running = tasks.create_task(route.run())
        waited = []
        for revision, severity in ((1, "P2"), (2, "P1")):
            route.step.step([alert(incident(revision=revision, severity=severity), revision)])
            await asyncio.sleep(AWAY_S / 2)
            waited.append(list(service.arrived["healthy"]))
        service.is_back.set()
        async with service.listen(closed_port), asyncio.timeout(20):
            await service.all_are_told.wait()
            await asyncio.sleep(1)  # nothing is sent twice
        running.cancel()

    assert {way: service.arrived[way] for way in WAYS} == {way: [2] for way in WAYS}
    assert waited == [[1], [1, 2]]  # the healthy receiver was told before the others were back
    assert service.arrived["fallback"][-1] == 2
    assert "untrusted" not in service.arrived
    assert route.dead_letters == 0
    sent = {(note.receiver, note.revision) for note in route.notes if note.outcome == "sent"}
    assert sent >= {(way, 2) for way in (*WAYS, "healthy", "fallback")}
