"""``driftwire up`` with TLS and SASL: records become a notification, and its output names a missing permission."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from load.traffic import OutgoingMessage, produce
from schemas.topics import ALERTS, NOTIFICATIONS, RECORDS, checkpoints_topic
from tests.security.acls import Acl, add_acls, documented_acls, remove_acls
from tests.security.secure_broker import INPUT_TOPIC, WORKERS, SecureBroker, password_of
from tests.security.work import LEARNING, RECORD_INTERVAL_MS
from tests.topologies.endpoint import Endpoint, run_endpoint
from tests.topologies.processes.test_privacy import listening_sockets, process_tree
from tests.topologies.worker_under_test import WorkerUnderTest
from topologies.broker import create_topics
from topologies.configuration import Configuration, KafkaSettings
from topologies.errors import DriftwireError
from topologies.kafka.client import write_message
from topologies.processes import Topology

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

USER = "driftwire"
WAIT_S = 60.0

CONFIGURATION = """
[kafka]
bootstrap = "127.0.0.1:1"
records_partitions = 1

[kafka.security]
protocol = "sasl_ssl"
ca_file = "{ca_file}"
mechanism = "SCRAM-SHA-512"
username = "{user}"
password_file = "{password_file}"

[intake.topics."{input_topic}"]
subject = "{{app}}"

[detect]
{detect}

[route]
default_receivers = ["console", "hook"]
receivers = [{{ name = "console", console = true }}, {{ name = "hook", webhook.url = "{url}" }}]
"""

RIGHTS = {
    "intake": Acl(USER, "Read", "topic", INPUT_TOPIC),
    "detect": Acl(USER, "Read", "topic", RECORDS),
    "correlate": Acl(USER, "Write", "topic", ALERTS),
    "route": Acl(USER, "Write", "topic", NOTIFICATIONS),
}
"""A permission of each step that no other step needs."""


@pytest_asyncio.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """The receiver of the notifications."""
    async with run_endpoint() as running:
        yield running


@pytest_asyncio.fixture
async def permissions(secure_broker: SecureBroker) -> AsyncIterator[None]:
    """The documented permissions of all workers, and no others, for one user."""
    acls = {replace(acl, user=USER) for acl in documented_acls() if acl.user in WORKERS}
    await add_acls(secure_broker.cluster, acls)
    yield
    await remove_acls(secure_broker.cluster, acls)


@pytest_asyncio.fixture
async def up(
    secure_broker: SecureBroker, permissions: None, endpoint: Endpoint, tmp_path: Path
) -> AsyncIterator[WorkerUnderTest]:
    """``driftwire up`` with a configuration file."""
    password_file, configuration = tmp_path / "password", tmp_path / "driftwire.toml"
    password_file.touch(0o600)
    password_file.write_text(password_of(USER))
    configuration.write_text(
        CONFIGURATION.format(
            ca_file=secure_broker.certificates / "authority.pem",
            user=USER,
            input_topic=INPUT_TOPIC,
            password_file=password_file,
            detect="\n".join(f"{name} = {value}" for name, value in LEARNING.items()),
            url=endpoint.url,
        )
    )
    arguments = ["--config", configuration, "--bootstrap", f"127.0.0.1:{secure_broker.secure_port}"]
    command = ["-m", "topologies.cli", "up", *map(str, arguments), "--data", str(tmp_path / "data")]
    with WorkerUnderTest(command, tmp_path / "log") as started:
        yield started


async def send_failure(broker: SecureBroker, subject: str) -> None:
    """Send records of a subject that fails after its baseline is learned."""
    now_ms = time.time_ns() // 1_000_000
    records = [
        {
            "subject": subject,
            "timestamp": now_ms - (400 - number) * RECORD_INTERVAL_MS,
            "request_id": f"{subject}-{number}",
            "infrastructure": {"error": number >= 250, "latency_ms": 100 + 7 * number % 13},
        }
        for number in range(400)
    ]
    messages = [OutgoingMessage(0, subject.encode(), json.dumps(record).encode()) for record in records]
    await produce(broker.secure_cluster("producer"), messages, topic=RECORDS)


async def wait_for_notification(endpoint: Endpoint, up: WorkerUnderTest, subject: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while not any(subject in json.dumps(content) for _, content in endpoint.requests):
            assert up.is_running, up.output[-3000:]
            await asyncio.sleep(0.2)


async def test_records_become_a_notification_also_after_a_right_was_taken_away(
    secure_broker: SecureBroker, endpoint: Endpoint, up: WorkerUnderTest
) -> None:
    up.start()
    await asyncio.to_thread(up.wait_for_output, "driftwire is up", 120.0)
    processes = process_tree(up.pid)
    assert len(processes) == 5  # the command and four workers
    assert listening_sockets(processes) == set()
    await send_failure(secure_broker, "bot")
    await wait_for_notification(endpoint, up, "bot")
    for step, right in RIGHTS.items():
        await remove_acls(secure_broker.cluster, [right])
        await send_failure(secure_broker, f"bot-of-{step}")
        missing = f"{right.operation} permission on topic {right.name} is missing: grant it to user {USER} (see docs"
        await asyncio.to_thread(up.wait_for_output, missing)
        assert re.search(rf"^{step} +\| .* WARNING driftwire: .*{re.escape(missing)}", up.output, re.MULTILINE)
        await add_acls(secure_broker.cluster, [right])
        await wait_for_notification(endpoint, up, f"bot-of-{step}")
    for step in ("correlate", "route"):
        await asyncio.to_thread(up.wait_for_output, f"{step}: partition 0: the checkpoint is written; processing conti")
    assert await asyncio.to_thread(up.stop) == 0
    assert re.search(r"^route +\| .*bot-of-route", up.output, re.MULTILINE)
    notification_ids = [content["id"] for _, content in endpoint.requests]
    assert len(set(notification_ids)) == len(notification_ids)
    assert "Traceback" not in up.output
    assert " died " not in up.output
    assert password_of(USER) not in up.output


@pytest.mark.parametrize(
    "right",
    [RIGHTS["intake"], RIGHTS["route"], Acl(USER, "Read", "group", "driftwire-correlate")],
    ids=lambda right: f"{right.operation}-{right.kind}-{right.name}",
)
async def test_up_without_a_right_names_it_at_once(
    secure_broker: SecureBroker, up: WorkerUnderTest, right: Acl
) -> None:
    await remove_acls(secure_broker.cluster, [right])
    try:
        up.start()
        assert await asyncio.to_thread(up.wait_for_exit, 30.0) == 1
    finally:
        await add_acls(secure_broker.cluster, [right])
    missing = f"{right.operation} permission on {right.kind} {right.name} is missing: grant it to user {USER}"
    assert up.output == f"Starting the steps ...\ndriftwire: {missing} (see docs/security.md)\n"


async def test_up_names_the_reason_of_a_worker_that_is_never_ready(
    secure_broker: SecureBroker, permissions: None, tmp_path: Path
) -> None:
    kafka = KafkaSettings(records_partitions=1)
    cluster = secure_broker.secure_cluster(USER)
    up = Topology(
        Configuration(kafka=kafka), data_folder=tmp_path, cluster=cluster, steps=("detect",), ready_timeout_s=30.0
    )
    topic = checkpoints_topic("detect")
    await create_topics(secure_broker.cluster, 1, 1)
    # An empty topic is not read, and needs no permission.
    await write_message(secure_broker.cluster, topic, b"removed", None)
    right = Acl(USER, "Read", "topic", topic)  # Write remains, so the topic is visible
    await remove_acls(secure_broker.cluster, [right])
    try:
        with pytest.raises(DriftwireError, match=r"worker detect got no partitions within 30 s; last lines: ") as error:
            await up.start()
    finally:
        await up.stop()
        await add_acls(secure_broker.cluster, [right])
    assert f"Read permission on topic {right.name} is missing: grant it to user {USER}" in str(error.value)
