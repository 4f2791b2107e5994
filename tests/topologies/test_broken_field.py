"""A field that breaks in a deployment, through real Kafka: the incident names field, share, start and suspect."""

import asyncio
from pathlib import Path

import pytest

from load.harness import wait_for_lag
from load.traffic import OutgoingMessage, produce
from pipeline.detect.settings import DetectSettings
from schemas.deployment import Deployment
from schemas.incident import Incident
from schemas.timestamp import clock_time
from schemas.topics import ALERTS, DEPLOYMENTS
from tests.pipeline.detect.losses.test_broken_fields import BREAK_MS, SETTINGS, omit, send_text, stream
from topologies.configuration import Configuration
from topologies.kafka import Cluster, read_topic, write_message
from topologies.processes import Topology

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]


async def find_incident(cluster: Cluster) -> Incident:
    async with asyncio.timeout(180):
        while True:
            incidents = [Incident.from_json(message.value) async for message in read_topic(cluster, ALERTS)]
            named = [one for one in incidents if one.failure_mode == "unusable_records"]
            if named:
                return named[-1]
            await asyncio.sleep(0.5)


@pytest.mark.parametrize(
    ("break_record", "phrase"),
    [(send_text, "output.refused is text in"), (omit("output", "refused"), "output.refused is absent from")],
    ids=["text", "absent"],
)
async def test_the_incident_names_field_share_start_and_suspect(break_record, phrase, tmp_path: Path) -> None:
    changed = SETTINGS.model_dump(exclude_unset=True)
    configuration = Configuration(detect=DetectSettings(**changed))
    deployment = Deployment(
        deployment_id="d-42",
        kind="prompt",
        subject="bot",
        from_version="v41",
        to_version="v42",
        timestamp=BREAK_MS - 10_000,
    )
    messages = [
        OutgoingMessage(message.timestamp, b"bot", message.value) for message in stream(9000, break_record, share=0.31)
    ]
    async with Topology(configuration, data_folder=tmp_path / "data", port=0, replay=True) as topology:
        await write_message(topology.cluster, DEPLOYMENTS, b"bot", deployment.to_json())
        await produce(topology.cluster, messages)
        await wait_for_lag(topology.cluster, topology.configuration.kafka.app_id)
        incident = await find_incident(topology.cluster)
    (line,) = incident.evidence
    assert line.layer == "data"
    assert line.segments == ["field=output.refused"]
    assert line.now == pytest.approx(0.31, abs=0.1)
    assert phrase in line.sentence
    assert clock_time(line.started_at) in line.sentence
    assert abs(line.started_at - BREAK_MS) < 5000
    assert "Most likely cause: prompt v41 -> v42" in incident.summary
