import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schemas.notification import Notification
from schemas.topics import ALERTS, NOTIFICATIONS
from tests.pipeline.route.samples import incident
from tests.topologies.endpoint import Endpoint, serving
from topologies.kafka.client import read_all, write

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PATIENCE_S = 40.0


@asynccontextmanager
async def worker(bootstrap: str, configuration: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A route worker in a process of its own, ready."""
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "topologies.cli", "worker", "route"),
        *("--config", str(configuration), "--bootstrap", bootstrap),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert started.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while b"route: ready" not in (line := await started.stdout.readline()):
                assert line, "the worker ended before it was ready"
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def say(bootstrap: str, **changes: object) -> None:
    revision = incident(**changes)
    await write(bootstrap, ALERTS, revision.incident_id.encode(), revision.to_json())


async def notifications(bootstrap: str, count: int) -> list[tuple[int, str, int]]:
    """Revision, outcome and attempts of the notifications, once there are so many."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            read = [Notification.from_json(one.value or b"") async for one in read_all(bootstrap, NOTIFICATIONS)]
            if len(read) >= count:
                return [(one.revision, one.outcome, one.attempts) for one in read]
            await asyncio.sleep(0.2)


def configuration(folder: Path, endpoint: Endpoint) -> Path:
    path = folder / "driftwire.json"
    hook = {"name": "hook", "kind": "webhook", "url": endpoint.url}
    path.write_text(json.dumps({"route": {"receivers": [hook], "default_receivers": ["hook"]}}), encoding="utf-8")
    return path


async def test_an_alert_reaches_the_receiver_once_though_its_worker_is_killed(empty_broker, tmp_path):
    bootstrap = empty_broker.bootstrap
    async with serving() as endpoint:
        endpoint.answers = [500, 200]
        config = configuration(tmp_path, endpoint)
        async with worker(bootstrap, config) as first:
            await say(bootstrap)
            assert await notifications(bootstrap, 1) == [(1, "sent", 2)]
            first.kill()
        async with worker(bootstrap, config):
            await say(bootstrap, revision=2)
            await say(bootstrap, revision=3, status="resolved")
            assert await notifications(bootstrap, 3) == [(1, "sent", 2), (2, "suppressed", 0), (3, "sent", 1)]
        assert [event["id"].split(":")[1] for _, event in endpoint.requests] == ["1", "1", "3"]


async def test_a_worker_killed_while_it_sends_sends_again_with_the_same_key(empty_broker, tmp_path):
    bootstrap = empty_broker.bootstrap
    async with serving() as endpoint:
        endpoint.answers = [503]
        config = configuration(tmp_path, endpoint)
        async with worker(bootstrap, config) as first:
            await say(bootstrap)
            await endpoint.reached.wait()
            first.kill()
        before = len(endpoint.requests)
        endpoint.answers = [200]
        async with worker(bootstrap, config):
            assert await notifications(bootstrap, 1) == [(1, "sent", 1)]
        assert len(endpoint.requests) == before + 1
        assert {event["id"] for _, event in endpoint.requests} == {"inc-3f9a21c0b7:1:hook"}
