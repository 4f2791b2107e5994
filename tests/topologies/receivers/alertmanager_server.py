"""A real Alertmanager on loopback ports, with a webhook that receives its notifications."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from tests.topologies.endpoint import free_port, serve

PROGRAM = "prometheus-alertmanager"
"""Name of the program in Debian's package of the same name."""

TIMEOUT_S = 60.0

Alert = dict[str, Any]


class Pager:
    """The webhook that Alertmanager notifies. It stores the groups of alerts that it receives."""

    def __init__(self) -> None:
        self.groups: list[dict[str, Any]] = []
        self.url = ""

    async def respond(self, request: web.Request) -> web.Response:
        self.groups.append(orjson.loads(await request.read()))
        return web.Response()

    def statuses(self, incident_id: str) -> list[str]:
        """Return the statuses of an incident's alert in the notifications, oldest first."""
        return [
            alert["status"]
            for group in self.groups
            for alert in group["alerts"]
            if alert["labels"]["incident_id"] == incident_id
        ]


@asynccontextmanager
async def run_pager() -> AsyncIterator[Pager]:
    """Run a pager on a free port."""
    pager = Pager()
    application = web.Application()
    application.router.add_post("/page", pager.respond)
    async with serve(application) as address:
        pager.url = f"{address}/page"
        yield pager


class Member:
    """A member of a cluster of Alertmanagers. It can be stopped and started again with the same ports and data."""

    def __init__(self, folder: Path, pager: Pager, group_by: Sequence[str] = ("alertname",)) -> None:
        folder.mkdir()
        self._folder = folder
        self._configuration = folder / "alertmanager.json"  # JSON is YAML
        route = {"receiver": "pager", "group_by": list(group_by), "group_wait": "1s", "group_interval": "1s"}
        webhook = {"url": pager.url, "send_resolved": True}
        receivers = [{"name": "pager", "webhook_configs": [webhook]}]
        self._configuration.write_text(
            json.dumps({"route": route | {"repeat_interval": "1h"}, "receivers": receivers}), encoding="utf-8"
        )
        self._port = free_port()
        self.cluster_address = f"127.0.0.1:{free_port()}"
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *peers: "Member") -> None:
        """Start, join the cluster of the peers, and wait until the member is ready."""
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(PROGRAM, f"--config.file={self._configuration}", f"--storage.path={self._folder / 'data'}"),
                *(f"--web.listen-address=127.0.0.1:{self._port}", f"--cluster.listen-address={self.cluster_address}"),
                *(f"--cluster.peer={peer.cluster_address}" for peer in peers),
                *("--cluster.gossip-interval=50ms", "--cluster.pushpull-interval=1s", "--cluster.peer-timeout=3s"),
                *("--cluster.settle-timeout=1s", "--cluster.reconnect-interval=1s"),
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(TIMEOUT_S), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"{self.url}/-/ready") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    assert self._process.returncode is None, (self._folder / "log").read_text()
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Stop. The alerts are lost; what was notified is kept."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.terminate()
            await self._process.wait()
            self._process = None

    async def alerts(self) -> dict[str, Alert]:
        """Return the active alerts of the member by incident, from its API."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/api/v2/alerts") as response:
            alerts: list[Alert] = await response.json()
        by_incident = {alert["labels"]["incident_id"]: alert for alert in alerts}
        assert len(by_incident) == len(alerts), "two alerts of the same incident"
        return by_incident

    async def wait_for_alerts(self, condition: Callable[[dict[str, Alert]], bool]) -> dict[str, Alert]:
        """Return the alerts of the member once they meet a condition."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                if condition(alerts := await self.alerts()):
                    return alerts
                await asyncio.sleep(0.05)


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is met."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0.05)
