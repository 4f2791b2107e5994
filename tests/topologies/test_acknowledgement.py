"""Somebody acknowledges an incident: nobody else is called, and the notifications say so. Correlate and route on Kafka."""

import asyncio
import time

import pytest
from click.testing import CliRunner, Result

from load.harness import temporary_topology
from schemas.topics import DRIFTS
from tests.pipeline.correlate.builders import drift
from tests.topologies.endpoint import Endpoint, run_endpoint
from topologies.commands import incident, notifications
from topologies.configuration import Configuration
from topologies.kafka import Cluster
from topologies.kafka.client import write_message

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]

ESCALATED_AFTER_S = 15.0


def configuration(pager: Endpoint, second_line: Endpoint) -> Configuration:
    names = {"pager": pager, "second-line": second_line}
    escalation = {"name": "late", "matchers": [], "after_s": ESCALATED_AFTER_S, "receivers": ["second-line"]}
    route = {
        "receivers": [{"name": name, "webhook": {"url": endpoint.url}} for name, endpoint in names.items()],
        "default_receivers": ["pager"],
        "escalations": [escalation],
    }
    return Configuration.model_validate({"correlate": {"announce_after_s": 0}, "route": route})


async def wait_for_incident(endpoint: Endpoint, subject: str) -> str:
    """Return the id of the incident of a subject, once the endpoint knows it."""
    async with asyncio.timeout(90):
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


async def test_an_acknowledged_incident_is_not_escalated_and_the_notifications_show_who_has_it():
    async with (
        run_endpoint() as pager,
        run_endpoint() as second_line,
        temporary_topology(configuration(pager, second_line), workers=("correlate", "route"), replay=False) as kafka,
    ):
        now_ms = time.time_ns() // 1_000_000
        for subject in ("taken", "waiting"):
            moved = drift(subject=subject, start=now_ms - 20_000)
            await write_message(kafka.cluster, DRIFTS, subject.encode(), moved.to_json())
        taken, waiting = [await wait_for_incident(pager, subject) for subject in ("taken", "waiting")]
        await run(incident.command, kafka.cluster, "ack", taken, "--author", "ana")
        assert await wait_for_incident(second_line, "waiting") == waiting
        await asyncio.sleep(ESCALATED_AFTER_S / 4)

        assert {event["subject"] for _, event in second_line.requests} == {"waiting"}
        told = {name: await run(notifications.command, kafka.cluster, "--incident", name) for name in (taken, waiting)}
    assert "pager: sent" in told[taken]
    assert "acknowledged by ana" in told[taken]
    assert "second-line" not in told[taken]
    assert "second-line: sent" in told[waiting]
    assert "not acknowledged within 15 s" in told[waiting]
