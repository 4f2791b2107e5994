"""Workers with TLS, SASL and least privilege: mechanisms work, and workers name and survive missing permissions."""

import asyncio
import base64
import time
from pathlib import Path

import pytest

from load.inputs import OutgoingMessage
from load.traffic import produce
from schemas.dead_letter import DeadLetter
from schemas.topics import DEAD_LETTERS, RECORDS
from tests.security.acls import Acl, add_acls, remove_acls
from tests.security.secure_broker import SecureBroker, password_of
from tests.security.test_connection import MECHANISMS
from tests.topologies.worker_under_test import WorkerUnderTest
from topologies.configuration import Configuration, write_configuration
from topologies.kafka import Cluster, read_topic

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

WAIT_S = 60.0


def worker(step: str, cluster: Cluster, folder: Path) -> WorkerUnderTest:
    """A ``driftwire worker`` process with its settings in a file."""
    configuration = Configuration().with_cluster(cluster)
    kafka = configuration.kafka.model_copy(update={"records_partitions": 1, "checkpoint_interval_s": 0.5})
    path = folder / "configuration.json"
    write_configuration(configuration.model_copy(update={"kafka": kafka}), path)
    return WorkerUnderTest(["-m", "topologies.cli", "worker", step, "--config", str(path)], folder / "log")


def send_unusable_records(broker: SecureBroker, values: list[bytes]) -> None:
    messages = [OutgoingMessage(0, b"bot", value) for value in values]
    asyncio.run(produce(broker.secure_cluster("producer"), messages, topic=RECORDS))


def dead_letter_values(broker: SecureBroker) -> list[str]:
    async def read() -> list[str]:
        messages = read_topic(broker.secure_cluster("reader"), DEAD_LETTERS)
        return [
            base64.b64decode(DeadLetter.from_json(message.value or b"").value_base64 or "").decode()
            async for message in messages
        ]

    return asyncio.run(read())


def wait_for_dead_letters(broker: SecureBroker, values: list[bytes]) -> None:
    """Wait until each value has its dead letter, and check that it has only one."""
    expected = {value.decode() for value in values}
    deadline = time.monotonic() + WAIT_S
    while not expected <= set(letters := dead_letter_values(broker)):
        assert time.monotonic() < deadline, expected - set(letters)
        time.sleep(0.5)
    assert all(letters.count(value) == 1 for value in expected)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_worker_runs_with_each_mechanism_and_only_its_rights(
    secure_broker: SecureBroker, tmp_path: Path, mechanism: str
) -> None:
    values = [f"{mechanism} {number}".encode() for number in range(3)]
    with worker("detect", secure_broker.secure_cluster("driftwire-detect", mechanism), tmp_path) as detect:
        detect.start()
        detect.wait_for_output("detect: ready")
        send_unusable_records(secure_broker, values)
        wait_for_dead_letters(secure_broker, values)
        assert detect.stop() == 0
        assert password_of("driftwire-detect") not in detect.output


DETECT = "driftwire-detect"

READ_CHECKPOINTS = Acl(DETECT, "Read", "topic", "driftwire.detect-checkpoints")

RIGHTS = (
    Acl(DETECT, "Read", "topic", "driftwire.records"),
    Acl(DETECT, "Read", "topic", "driftwire.baselines"),
    READ_CHECKPOINTS,
    Acl(DETECT, "Write", "topic", "driftwire.detect-checkpoints"),
    Acl(DETECT, "Write", "topic", "driftwire.dead-letters"),
    Acl(DETECT, "Read", "group", DETECT),
    Acl(DETECT, "Write", "transactional_id", "driftwire-detect-", "prefixed"),
)


@pytest.mark.parametrize("right", RIGHTS, ids=lambda right: f"{right.operation} {right.kind} {right.name}")
def test_a_worker_that_loses_a_right_names_it_and_continues_when_it_is_granted(
    secure_broker: SecureBroker, tmp_path: Path, right: Acl
) -> None:
    values = [f"{right} {number}".encode() for number in range(3)]
    kind = right.kind.replace("_", " ")
    missing = f"{right.operation} permission on {kind} {right.name}"
    with worker("detect", secure_broker.secure_cluster(DETECT), tmp_path) as detect:
        detect.start()
        detect.wait_for_output("detect: ready")
        send_unusable_records(secure_broker, values[:1])
        wait_for_dead_letters(secure_broker, values[:1])  # from now on there is a checkpoint
        asyncio.run(remove_acls(secure_broker.cluster, [right]))
        try:
            send_unusable_records(secure_broker, values[1:])
            if right == READ_CHECKPOINTS:  # only a start needs it
                detect.kill()
                detect.start()
            detect.wait_for_output(missing)
        finally:
            asyncio.run(add_acls(secure_broker.cluster, [right]))
        wait_for_dead_letters(secure_broker, values)
        assert "Traceback" not in detect.output
        assert detect.stop() == 0


@pytest.mark.timeout(200)
def test_up_runs_all_steps_on_a_secure_cluster(secure_broker: SecureBroker, tmp_path: Path) -> None:
    cluster = secure_broker.secure_cluster("administrator")
    configuration = Configuration().with_cluster(cluster)
    kafka = configuration.kafka.model_copy(update={"records_partitions": 1, "app_id": "up"})
    path = tmp_path / "configuration.json"
    write_configuration(configuration.model_copy(update={"kafka": kafka}), path)
    arguments = ["-m", "topologies.cli", "up", "--config", str(path), "--bootstrap", cluster.bootstrap]
    with WorkerUnderTest([*arguments, "--data", str(tmp_path / "data")], tmp_path / "log") as up:
        up.start()
        up.wait_for_output("driftwire is up", 120.0)
        assert up.stop() == 0
        assert password_of("administrator") not in up.output
