"""Work for each step that needs all of its rights, and the outputs that must come of it, each once."""

import asyncio
import json
import time
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from load.traffic import OutgoingMessage, produce
from pipeline.intake import IntakeSettings
from pipeline.route import ReceiverSettings
from pipeline.route.receiver_settings import PagerDutySettings
from schemas.topics import ALERTS, BASELINES, COMMANDS, DEAD_LETTERS, DEPLOYMENTS, DRIFTS, NOTIFICATIONS, RECORDS
from tests.pipeline.correlate.builders import command, deployment, drift
from tests.pipeline.route.samples import incident
from tests.security.secure_broker import INPUT_TOPIC, SecureBroker
from tests.topologies.worker_under_test import WorkerUnderTest
from topologies.configuration import Configuration, write_configuration
from topologies.kafka import Cluster, read_topic, write_message

WAIT_S = 60.0

LEARNING = {"ready_records": 100, "ready_records_rate": 100, "ready_after_s": 10.0, "flush_records": 10}
"""Settings of detect with which a baseline is learned from ten seconds of records, or twenty if they are not stable."""

INTAKE = IntakeSettings.model_validate(
    {"topics": {INPUT_TOPIC: {"map": ["id=request_id", "at=timestamp", "took=latency_ms:s"], "subject": "{app}"}}}
)
"""Settings of intake with which a message with an app, an id, a time and a duration becomes a record."""

CHANGE_RECEIVER = ReceiverSettings(
    name="changes",
    pagerduty=PagerDutySettings(routing_key_file="/nowhere/key", change_events=True),
    give_up_after_s=0.001,
    retry_interval_max_s=0.1,  # the topic also has the deployments for correlate, each of which must fail first
)
"""A receiver for which route reads deployments. It has no key, so it sends nothing and each deployment fails soon."""

RECORD_INTERVAL_MS = 100
LEARNED_RECORDS = 220
NEW_VERSION_RECORDS = 60
"""Interval in event time, and number of records of the version that is learned and of the version that is reported."""

UNUSABLE = b"unusable"
"""Content of a message that every step dead-letters."""

Output = tuple[str, str]
"""Topic of an output, and what identifies its content."""


def secure_worker(step: str, cluster: Cluster, folder: Path) -> WorkerUnderTest:
    """A worker of ``driftwire worker`` whose settings are in a file."""
    configuration = Configuration().with_cluster(cluster)
    kafka = configuration.kafka.model_copy(update={"records_partitions": 1, "checkpoint_interval_s": 0.5})
    receivers = (*configuration.route.receivers, CHANGE_RECEIVER)
    changes = {
        "kafka": kafka,
        "intake": INTAKE,
        "detect": configuration.detect.model_copy(update=LEARNING),
        "route": configuration.route.model_copy(update={"receivers": receivers}),
    }
    path = folder / "configuration.json"
    write_configuration(configuration.model_copy(update=changes), path)
    return WorkerUnderTest(["-m", "topologies.cli", "worker", step, "--config", str(path)], folder / "log")


IDENTIFY: dict[str, Callable[[dict[str, Any]], str]] = {
    RECORDS: lambda message: message.get("request_id", message["timestamp"]),
    BASELINES: lambda message: f"{message['subject']} {'relearn' if 'relearn_id' in message else 'learned'}",
    DRIFTS: lambda message: f"{message.get('subject', 'tick')} {message.get('signal')} {message.get('sequence')}",
    ALERTS: lambda message: f"{message['subject']} {message['revision']}",
    NOTIFICATIONS: lambda message: (
        f"{message.get('incident_id', message.get('name'))} {message.get('revision', '-')} {message['outcome']}"
    ),
    DEAD_LETTERS: lambda letter: f"{b64decode(letter['key_base64']).decode()} {letter['step']} {letter['topic']}",
}
"""What identifies the content of a message of each topic with outputs."""

OUTPUTS: dict[str, tuple[Output, ...]] = {
    "intake": (
        (RECORDS, "{name}"),
        (DEAD_LETTERS, "{name} intake llm.requests"),
    ),
    "detect": (
        (BASELINES, "{name} learned"),
        (DRIFTS, "{name} versions 0"),
        (DEAD_LETTERS, "{name} detect driftwire.records"),
        (DEAD_LETTERS, "{name} detect driftwire.baselines"),
    ),
    "correlate": (
        (ALERTS, "{name} 1"),
        (BASELINES, "{name} relearn"),
        (DEAD_LETTERS, "{name} correlate driftwire.drifts"),
        (DEAD_LETTERS, "{name} correlate driftwire.deployments"),
        (DEAD_LETTERS, "{name} correlate driftwire.commands"),
    ),
    "route": (
        (NOTIFICATIONS, "{name} 1 sent"),
        (NOTIFICATIONS, "{name} - failed"),
        (DEAD_LETTERS, "{name} route driftwire.alerts"),
        (DEAD_LETTERS, "{name} route driftwire.commands"),
    ),
}
"""What each step writes for the work of :func:`send_work`. Each input and each topic of outputs is among it."""


async def send_work(step: str, broker: SecureBroker, name: str) -> None:
    """Send work under a name to all inputs of a step: messages that it uses, and messages that it dead-letters."""
    now_ms = time.time_ns() // 1_000_000
    messages: list[tuple[str, bytes]] = []
    if step == "intake":
        request = {"app": name, "id": name, "at": now_ms, "took": 0.5}
        messages = [(INPUT_TOPIC, json.dumps(request).encode()), (INPUT_TOPIC, UNUSABLE)]
    elif step == "detect":
        records = [OutgoingMessage(0, name.encode(), value) for value in (*_records(name, now_ms), UNUSABLE)]
        await produce(broker.secure_cluster("producer"), records, topic=RECORDS)
        messages = [(BASELINES, UNUSABLE)]
    elif step == "correlate":
        expected_shift = deployment(name, subject=name, expect_shift=["length"])
        messages = [
            (DRIFTS, drift(drift_id=name, subject=name, start=now_ms).to_json()),
            (DEPLOYMENTS, expected_shift.model_copy(update={"timestamp": now_ms}).to_json()),
            *((topic, UNUSABLE) for topic in (DRIFTS, DEPLOYMENTS, COMMANDS)),
        ]
    else:
        invalid_silence = command("silence", None, at=now_ms, matchers=["?"], until=now_ms + 1)
        messages = [
            (ALERTS, incident(incident_id=name, subject=name, title=name).to_json()),
            (ALERTS, UNUSABLE),
            (COMMANDS, invalid_silence.to_json()),
            (DEPLOYMENTS, deployment(name, subject=name).model_copy(update={"timestamp": now_ms}).to_json()),
        ]
    for topic, value in messages:
        await write_message(broker.cluster, topic, name.encode(), value)


def outputs_of_work(step: str, name: str) -> set[Output]:
    """Return the outputs that a step writes for the work under a name."""
    return {(topic, text.format(name=name)) for topic, text in OUTPUTS[step]}


def wait_for_outputs(broker: SecureBroker, expected: Collection[Output]) -> None:
    """Wait until there are some outputs, and check that no output of any step is there twice."""
    deadline = time.monotonic() + WAIT_S
    while True:
        counts, repeated = asyncio.run(_read_outputs(broker))
        if not (missing := set(expected) - counts.keys()):
            break
        assert time.monotonic() < deadline, missing
        time.sleep(0.5)
    assert {output: counts[output] for output in expected} == dict.fromkeys(expected, 1)
    assert repeated == []


def _records(subject: str, now_ms: int) -> list[bytes]:
    """Records until a baseline is learned, and then enough records of another version to report it."""
    count = LEARNED_RECORDS + NEW_VERSION_RECORDS
    return [
        json.dumps(
            {
                "subject": subject,
                "timestamp": now_ms - (count - number) * RECORD_INTERVAL_MS,
                "request_id": f"{subject}-{number}",
                "versions": {"prompt": "v1" if number < LEARNED_RECORDS else "v2"},
                "infrastructure": {"latency_ms": 100 + 7 * number % 13},
            }
        ).encode()
        for number in range(count)
    ]


async def _read_outputs(broker: SecureBroker) -> tuple[Counter[Output], list[bytes]]:
    """Count the outputs of all steps, and return the messages whose content is there twice."""
    found: Counter[Output] = Counter()
    values: Counter[tuple[str, bytes]] = Counter()
    # A dead letter of intake contains the position of a message, but not its key.
    keys = {(sent.partition, sent.offset): sent.key or b"" async for sent in read_topic(broker.cluster, INPUT_TOPIC)}
    for topic, identify in IDENTIFY.items():
        async for message in read_topic(broker.cluster, topic):
            value = message.value or b""
            if value != UNUSABLE:
                content = json.loads(value)
                if content.get("step") == "intake":
                    content["key_base64"] = b64encode(keys[content["partition"], content["offset"]])
                values[topic, value] += 1
                found[topic, identify(content)] += 1
    return found, [value for (_, value), count in values.items() if count > 1]
