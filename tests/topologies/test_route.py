import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from load.harness import wait_for_lag
from load.traffic import OutgoingMessage, produce
from schemas.dead_letter import DeadLetter
from schemas.deployment import Deployment
from schemas.notice import Notice
from schemas.notification import Notification
from schemas.topics import ALERTS, COMMANDS, DEAD_LETTERS, DEPLOYMENTS, NOTIFICATIONS
from tests.pipeline.route.samples import STARTED, incident, silence
from tests.topologies.endpoint import Endpoint, run_endpoint
from tests.topologies.pagerduty_server import KEY, run_pagerduty
from topologies.configuration import Configuration
from topologies.kafka import Cluster
from topologies.kafka.client import read_topic, write_message
from topologies.processes import Topology
from topologies.runtime.inputs.positions import read_group_offsets

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

TIMEOUT_S = 120.0


@asynccontextmanager
async def route_worker(cluster: Cluster, configuration: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a route worker in its own process, and wait until it is ready."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "topologies.cli", "worker", "route"),
        *("--config", str(configuration), "--bootstrap", cluster.bootstrap),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT_S):
            while b"route: ready" not in (line := await process.stdout.readline()):
                assert line, "the worker ended before it was ready"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def publish(cluster: Cluster, **changes: object) -> None:
    revision = incident(**changes)
    await write_message(cluster, ALERTS, revision.incident_id.encode(), revision.to_json())


async def write_silence(cluster: Cluster, start: int, until: int) -> None:
    """Write the silence, or replace it, and wait until the worker has used it, because alerts are on another topic."""
    command = silence(at=start, until=until)
    await write_message(cluster, COMMANDS, command.key, command.value)
    last_offset = [message.offset async for message in read_topic(cluster, COMMANDS)][-1]
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            if (await read_group_offsets(cluster, "driftwire-route", 0)).get(COMMANDS, -1) >= last_offset:
                return
            await asyncio.sleep(0.1)


async def wait_for_notifications(cluster: Cluster, count: int) -> list[tuple[int, str, int]]:
    """Revision, outcome and attempts of the notifications, once there are ``count``."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            notes = [
                Notification.from_json(message.value or b"") async for message in read_topic(cluster, NOTIFICATIONS)
            ]
            if len(notes) >= count:
                return [(note.revision, note.outcome, note.attempts) for note in notes]
            await asyncio.sleep(0.2)


def write_configuration(folder: Path, *endpoints: Endpoint) -> Path:
    path = folder / "driftwire.json"
    names = ["hook", "other"][: len(endpoints)]
    receivers = [
        {"name": name, "webhook": {"url": endpoint.url}, "timeout_s": 60}
        for name, endpoint in zip(names, endpoints, strict=True)
    ]
    path.write_text(json.dumps({"route": {"receivers": receivers, "default_receivers": names}}), encoding="utf-8")
    return path


async def test_an_alert_reaches_the_receiver_once_although_the_worker_is_killed(empty_broker, tmp_path):
    cluster = empty_broker.cluster
    async with run_endpoint() as endpoint:
        endpoint.answers = [500, 200]
        config = write_configuration(tmp_path, endpoint)
        async with route_worker(cluster, config) as first:
            await publish(cluster)
            assert await wait_for_notifications(cluster, 1) == [(1, "sent", 2)]
            first.kill()
        async with route_worker(cluster, config):
            await publish(cluster, revision=2)
            await publish(cluster, revision=3, status="resolved")
            assert await wait_for_notifications(cluster, 3) == [(1, "sent", 2), (2, "suppressed", 0), (3, "sent", 1)]
        assert [event["id"].split(":")[1] for _, event in endpoint.requests] == ["1", "1", "3"]


async def test_a_worker_killed_while_it_sends_repeats_the_notification_with_the_same_key(empty_broker, tmp_path):
    cluster = empty_broker.cluster

    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with run_endpoint() as endpoint:
        endpoint.answers = [hang, 200]
        config = write_configuration(tmp_path, endpoint)
        async with route_worker(cluster, config) as first:
            await publish(cluster)
            await endpoint.reached.wait()
            first.kill()
        async with route_worker(cluster, config):
            assert await wait_for_notifications(cluster, 1) == [(1, "sent", 1)]
        assert [event["id"] for _, event in endpoint.requests] == ["inc-3f9a21c0b7:1:hook"] * 2


async def test_what_a_silence_held_back_is_sent_at_its_end_without_a_revision_and_once_over_restarts(
    empty_broker, tmp_path
):
    cluster = empty_broker.cluster
    start = int(time.time() * 1000)
    async with run_endpoint() as endpoint:
        config = write_configuration(tmp_path, endpoint)
        async with route_worker(cluster, config) as first:
            await write_silence(cluster, start, start + 3_600_000)
            await publish(cluster)
            assert await wait_for_notifications(cluster, 1) == [(1, "suppressed", 0)]
            first.kill()
        async with route_worker(cluster, config) as second:
            end = int(time.time() * 1000) + 8_000
            await write_silence(cluster, start, end)
            held_back = [(1, "suppressed", 0)] * 2  # the second names the new end
            assert await wait_for_notifications(cluster, 3) == [*held_back, (1, "sent", 1)]
            assert time.time() * 1000 >= end
            second.kill()
        async with route_worker(cluster, config):
            await publish(cluster, revision=2, status="resolved")
            assert (await wait_for_notifications(cluster, 4))[3] == (2, "sent", 1)
        assert [event["id"] for _, event in endpoint.requests] == ["inc-3f9a21c0b7:1.2:hook", "inc-3f9a21c0b7:2:hook"]


async def test_a_silence_that_began_during_an_attempt_holds_back_what_is_owed_after_a_crash(empty_broker, tmp_path):
    cluster = empty_broker.cluster
    start = int(time.time() * 1000)

    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with run_endpoint() as endpoint:
        endpoint.answers = [hang, 200]
        config = write_configuration(tmp_path, endpoint)
        async with route_worker(cluster, config) as first:
            await publish(cluster)
            await endpoint.reached.wait()
            await write_silence(cluster, start, start + 3_600_000)
            first.kill()
        async with route_worker(cluster, config):
            assert await wait_for_notifications(cluster, 1) == [(1, "suppressed", 0)]
        assert len(endpoint.requests) == 1


async def test_a_receiver_that_hangs_delays_no_other_and_gets_the_newest_state_when_it_is_back_after_a_crash(
    empty_broker, tmp_path
):
    cluster = empty_broker.cluster
    is_back = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await is_back.wait()
        return web.Response(status=503)

    async with run_endpoint() as hanging, run_endpoint() as healthy:
        hanging.answers = [hang]
        config = write_configuration(tmp_path, hanging, healthy)
        async with route_worker(cluster, config) as first:
            await publish(cluster)
            assert await wait_for_notifications(cluster, 1) == [(1, "sent", 1)]
            await hanging.reached.wait()
            await publish(cluster, revision=2, severity="P1")
            assert await wait_for_notifications(cluster, 2) == [(1, "sent", 1), (2, "sent", 1)]
            first.kill()
        is_back.set()
        before = len(hanging.requests)
        hanging.answers = [503] * (before + 1) + [200]
        async with route_worker(cluster, config):
            await wait_for_notifications(cluster, 3)
        events = [event["id"].split(":")[1:] for _, event in hanging.requests[before:]]
        assert [receiver for _, receiver in events] == ["hook", "hook"]
        assert {revision.split(".")[0] for revision, _ in events} == {"2"}
        assert [event["id"].split(":")[1] for _, event in healthy.requests] == ["1", "2"]


async def test_a_replay_has_sent_everything_that_is_due_when_it_has_read_everything(empty_broker, tmp_path):
    cluster, names = empty_broker.cluster, {f"inc-{number}" for number in range(300)}
    alerts = [incident(incident_id=name).to_json() for name in sorted(names)]
    await produce(cluster, [OutgoingMessage(STARTED, b"", value) for value in alerts], topic=ALERTS)
    lines = []
    replay = Topology(
        Configuration(), data_folder=tmp_path, cluster=cluster, replay=True, steps=("route",), on_line=lines.append
    )
    async with replay:
        await wait_for_lag(cluster, "driftwire", steps=("route",))
    notes = [Notification.from_json(message.value) async for message in read_topic(cluster, NOTIFICATIONS)]
    assert {(note.incident_id, note.outcome) for note in notes} == {(name, "sent") for name in names}
    printed = "\n".join(lines)
    assert {name for name in names if f"{name} " in printed or f"{name}\n" in printed} == names


async def wait_for_requests(endpoint: Endpoint, count: int) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            if len(endpoint.requests) >= count:
                return
            await asyncio.sleep(0.05)


async def test_an_open_incident_is_re_sent_to_an_alertmanager_over_a_crash_and_recorded_once(empty_broker, tmp_path):
    cluster = empty_broker.cluster
    async with run_endpoint() as endpoint:
        receiver = {"name": "am", "alertmanager": {"urls": [endpoint.url], "resend_interval_s": 1.0}}
        config = tmp_path / "driftwire.json"
        config.write_text(json.dumps({"route": {"receivers": [receiver], "default_receivers": ["am"]}}))
        async with route_worker(cluster, config) as first:
            await publish(cluster)
            assert await wait_for_notifications(cluster, 1) == [(1, "sent", 1)]
            await wait_for_requests(endpoint, 4)
            first.kill()
        before = len(endpoint.requests)
        async with route_worker(cluster, config):
            await wait_for_requests(endpoint, before + 2)
            await publish(cluster, revision=2, status="resolved")
            assert await wait_for_notifications(cluster, 2) == [(1, "sent", 1), (2, "sent", 1)]
            last = len(endpoint.requests)
            await asyncio.sleep(3)  # nothing is re-sent after the end
            assert len(endpoint.requests) == last
        alerts = [alert for _, [alert] in endpoint.requests]
        assert all(alert["labels"] == alerts[0]["labels"] for alert in alerts)
        assert [alert["annotations"]["status"] for alert in alerts] == ["open"] * (last - 1) + ["resolved"]


async def wait_for_dead_letters(cluster: Cluster, count: int) -> list[DeadLetter]:
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            letters = [
                DeadLetter.from_json(message.value or b"") async for message in read_topic(cluster, DEAD_LETTERS)
            ]
            if len(letters) >= count:
                return letters
            await asyncio.sleep(0.2)


async def test_an_alert_that_cannot_be_written_is_set_aside_and_a_healthy_one_is_sent_once(empty_broker, tmp_path):
    cluster = empty_broker.cluster
    beyond = incident(incident_id="inc-beyond").to_json().replace(b'"revision":1', b'"revision":1' + b"0" * 24)
    async with run_endpoint() as endpoint:
        config = write_configuration(tmp_path, endpoint)
        async with route_worker(cluster, config):
            await write_message(cluster, ALERTS, b"inc-beyond", beyond)
            await publish(cluster)
            [letter] = await wait_for_dead_letters(cluster, 1)
            assert await wait_for_notifications(cluster, 1) == [(1, "sent", 1)]
            await publish(cluster, revision=2, status="resolved")
            assert (await wait_for_notifications(cluster, 2))[1] == (2, "sent", 1)
    assert (letter.step, letter.reason) == ("route", "contract")
    assert "revision" in letter.detail
    assert [event["id"] for _, event in endpoint.requests] == ["inc-3f9a21c0b7:1:hook", "inc-3f9a21c0b7:2:hook"]


async def wait_for_notices(cluster: Cluster, count: int) -> list[Notice]:
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            values = [message.value or b"" async for message in read_topic(cluster, NOTIFICATIONS)]
            notices = [Notice.from_json(value) for value in values if b'"type":"notice"' in value]
            if len(notices) >= count:
                return notices
            await asyncio.sleep(0.2)


async def test_a_digest_that_was_missed_is_sent_late_and_once_over_restarts(empty_broker, tmp_path):
    cluster = empty_broker.cluster
    due_s = (time.time() + 25) // 60 * 60 + 60  # the first full minute after the first worker is ready
    async with run_endpoint() as endpoint, run_endpoint() as team:
        config = write_configuration(tmp_path, endpoint)
        content = json.loads(config.read_text())
        content["route"]["receivers"].append({"name": "team", "webhook": {"url": team.url}})
        due = time.strftime("%H:%M", time.gmtime(due_s))
        content["route"]["digests"] = [{"name": "morning", "receivers": ["team"], "time": due}]
        config.write_text(json.dumps(content))
        async with route_worker(cluster, config) as first:
            await publish(cluster, severity="P4")
            assert await wait_for_notifications(cluster, 1) == [(1, "sent", 1)]
            first.kill()
        await asyncio.sleep(max(0.0, due_s - time.time()))
        team.answers = [503, 200]
        async with route_worker(cluster, config) as second:
            [notice] = await wait_for_notices(cluster, 1)
            second.kill()
        async with route_worker(cluster, config):
            await publish(cluster, severity="P4", revision=2, status="resolved")
            await wait_for_requests(endpoint, 2)
        day = time.strftime("%Y-%m-%d", time.gmtime(due_s))
        assert (notice.notification_id, notice.outcome, notice.attempts) == (f"digest:morning:{day}:team", "sent", 2)
        assert [event["id"] for _, event in team.requests] == [notice.notification_id] * 2
        assert team.requests[1][1]["type"] == "org.driftwire.digest.v1"
        assert [one["incident_id"] for one in team.requests[1][1]["data"]["p4"]["incidents"]] == ["inc-3f9a21c0b7"]
        assert await wait_for_notices(cluster, 1) == [notice]


async def test_a_deployment_is_sent_to_pagerduty_once_over_a_crash(empty_broker, tmp_path):
    cluster = empty_broker.cluster

    async def write_deployment(name: str, timestamp: int) -> None:
        deployment = Deployment(deployment_id=name, timestamp=timestamp, kind="prompt", to_version="v42")
        await write_message(cluster, DEPLOYMENTS, name.encode(), deployment.to_json())

    now = int(time.time() * 1000)
    await write_deployment("d-old", now - 25 * 3_600_000)
    async with run_pagerduty() as pagerduty:
        pager = {"routing_key": KEY, "url": pagerduty.url, "change_events": True}
        config = tmp_path / "driftwire.json"
        route = {"receivers": [{"name": "pager", "pagerduty": pager}], "default_receivers": ["pager"]}
        config.write_text(json.dumps({"route": route}))
        pagerduty.answers = [web.Response(status=503)]
        async with route_worker(cluster, config) as first:
            await write_deployment("d-new", now)
            [notice] = await wait_for_notices(cluster, 1)
            first.kill()
        async with route_worker(cluster, config):
            await publish(cluster)
            await write_deployment("d-newer", now)
            notices = await wait_for_notices(cluster, 2)
        assert [(one.name, one.outcome, one.attempts) for one in notices] == [
            ("d-new", "sent", 2),
            ("d-newer", "sent", 1),
        ]
        assert notices[0] == notice
        sent = [change["payload"]["custom_details"]["Deployment"] for change in pagerduty.changes]
        assert sent == ["d-new", "d-newer"]
