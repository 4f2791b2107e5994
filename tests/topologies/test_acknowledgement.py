"""Somebody acknowledges an incident: nobody else is called, and the notifications say so. Correlate, route and
PagerDuty on Kafka."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from load.harness import temporary_topology
from schemas.command import Command
from schemas.topics import COMMANDS, DRIFTS
from tests.pipeline.correlate.builders import drift, tick
from tests.pipeline.webhooks.pagerduty_events import ANA, WEBHOOK_SECRET
from tests.topologies.endpoint import Endpoint, run_endpoint
from tests.topologies.http_server.http_worker import http_worker
from tests.topologies.pagerduty_server import KEY, PagerDuty, run_pagerduty
from topologies.commands import incident, notifications
from topologies.configuration import Configuration
from topologies.kafka import Cluster
from topologies.kafka.client import read_topic, write_message

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

ESCALATED_AFTER_S = 15.0
CLASSIFIED_AFTER_S = 120.0
SUBJECTS = ("taken", "paged", "waiting")


def configuration(pager: Endpoint, second_line: Endpoint, pagerduty: PagerDuty) -> Configuration:
    names = {"pager": pager, "second-line": second_line}
    escalation = {"name": "late", "matchers": [], "after_s": ESCALATED_AFTER_S, "receivers": ["second-line"]}
    route = {
        "receivers": [
            *({"name": name, "webhook": {"url": endpoint.url}} for name, endpoint in names.items()),
            {"name": "pagerduty", "pagerduty": {"url": pagerduty.url, "routing_key": KEY}},
        ],
        "default_receivers": ["pager", "pagerduty"],
        "escalations": [escalation],
    }
    correlate = {"announce_after_s": 0, "response": [{"severity": "P1", "classify_s": CLASSIFIED_AFTER_S}]}
    return Configuration.model_validate({"correlate": correlate, "route": route})


async def wait_for_incident(endpoint: Endpoint, subject: str) -> str:
    """Return the id of the incident of a subject, once the endpoint knows it."""
    async with asyncio.timeout(180):
        while True:
            for _, event in endpoint.requests:
                if event["subject"] == subject:
                    return str(event["data"]["incident_id"])
            await asyncio.sleep(0.1)


async def run(command: object, cluster: Cluster, *arguments: str) -> str:
    """Run a command as a person does, and return what it prints."""

    def invoke() -> Result:
        return CliRunner().invoke(command, [*arguments, "--bootstrap", cluster.bootstrap])

    result = await asyncio.to_thread(invoke)
    assert result.exit_code == 0, result.output
    return result.output


@asynccontextmanager
async def receive_webhooks(cluster: Cluster, folder: Path) -> AsyncIterator[str]:
    """Run an http worker that receives PagerDuty's webhooks, and yield the address."""
    secrets = folder / "secrets"
    secrets.write_bytes(WEBHOOK_SECRET)
    webhook = {"kind": "pagerduty", "secrets_file": str(secrets)}
    worker = http_worker(folder, cluster.bootstrap, webhooks={"pagerduty": webhook})
    with ExitStack() as stack:  # the worker starts and stops in a thread, because its clients are in this one
        running = await asyncio.to_thread(stack.enter_context, worker)
        yield f"{running.url}/v1/webhooks/pagerduty"
        await asyncio.to_thread(stack.close)


async def wait_for_events(pagerduty: PagerDuty, incident_id: str, *actions: str) -> None:
    """Wait until PagerDuty knows an incident by these events and no others."""
    async with asyncio.timeout(180):
        while True:
            sent = [event["event_action"] for event in pagerduty.events if event["dedup_key"] == incident_id]
            if sent == list(actions):
                return
            await asyncio.sleep(0.1)


async def show(cluster: Cluster, incident_id: str, line: str) -> str:
    """Return what ``driftwire incident show`` prints, without line breaks, once it contains a line."""
    async with asyncio.timeout(180):
        while True:
            shown = " ".join((await run(incident.command, cluster, "show", incident_id)).split())
            if line in shown:
                return shown
            await asyncio.sleep(0.2)


async def test_an_acknowledged_incident_is_not_escalated_and_the_notifications_show_who_has_it(tmp_path):
    async with (
        run_endpoint() as pager,
        run_endpoint() as second_line,
        run_pagerduty() as pagerduty,
        temporary_topology(
            configuration(pager, second_line, pagerduty), workers=("correlate", "route"), replay=False
        ) as kafka,
        receive_webhooks(kafka.cluster, tmp_path) as pagerduty.webhook_url,
    ):
        cluster, now_ms = kafka.cluster, time.time_ns() // 1_000_000
        for subject in SUBJECTS:
            leaking = drift("pii_detected", subject=subject, start=now_ms - 20_000)
            await write_message(cluster, DRIFTS, subject.encode(), leaking.to_json())
        taken, paged, waiting = [await wait_for_incident(pager, subject) for subject in SUBJECTS]
        await wait_for_events(pagerduty, paged, "trigger")
        await run(incident.command, cluster, "ack", taken, "--author", "ana")
        await pagerduty.act(paged, "acknowledged", ANA)
        assert await wait_for_incident(second_line, "waiting") == waiting
        await asyncio.sleep(ESCALATED_AFTER_S / 4)

        assert {event["subject"] for _, event in second_line.requests} == {"waiting"}
        incidents = (taken, paged, waiting)
        told = {name: await run(notifications.command, cluster, "--incident", name) for name in incidents}
        due = tick(now_ms + round(CLASSIFIED_AFTER_S * 1000))
        await write_message(cluster, DRIFTS, b"tick", due.to_json())
        assert "acknowledged by" not in await show(cluster, waiting, "classification was due")
        shown = await show(cluster, paged, "P1 ACKNOWLEDGED")
        assert "people acknowledged by Ana Alves" in shown
        assert "acknowledge: acknowledged by Ana Alves: in PagerDuty" in shown
        assert "classification was due" not in shown

        await wait_for_events(pagerduty, paged, "trigger", "trigger", "acknowledge")
        await pagerduty.act(paged, "resolved", ANA)
        await show(cluster, paged, "resolved by Ana Alves: in PagerDuty")
        await wait_for_events(pagerduty, paged, "trigger", "trigger", "acknowledge", "resolve")
        commands = [Command.from_json(message.value or b"") async for message in read_topic(cluster, COMMANDS)]
    assert sorted(pagerduty.notified) == sorted(incidents)
    assert [(command.action, command.author) for command in commands] == [
        ("acknowledge", "ana"),
        ("acknowledge", "Ana Alves"),
        ("resolve", "Ana Alves"),
    ]
    echoes = [event_type for event_type, answer in pagerduty.webhooks if answer["written"] == 0]
    assert sorted(echoes) == ["incident.acknowledged", *["incident.triggered"] * 3]
    assert "pager: sent" in told[taken]
    assert "acknowledged by ana" in told[taken]
    assert "acknowledged by Ana Alves: in PagerDuty" in told[paged]
    assert "second-line" not in told[taken] + told[paged]
    assert "second-line: sent" in told[waiting]
    assert "not acknowledged within 15 s" in told[waiting]
