"""``driftwire status`` says from the first record on what arrives, with and without a running detect."""

import asyncio
import json
import time
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner

from pipeline.codec import FORMAT
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from schemas.baseline import Baseline
from schemas.topics import BASELINES, RECORDS, checkpoints_topic
from tests.pipeline.detect.streams import message
from tests.pipeline.detect.test_partition_summary import values
from tests.topologies.worker_under_test import WorkerUnderTest
from topologies.commands.deployed import command as deployed
from topologies.commands.status import command
from topologies.errors import DriftwireError
from topologies.kafka.client import write_message

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

SETTINGS = DetectSettings(ready_after_s=600, ready_records=1000, ready_records_rate=500)


def status(broker, *arguments, expected=0):
    options = [*arguments, "--bootstrap", broker.bootstrap]
    result = CliRunner().invoke(command, options, catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code == expected
    return result.output


def deployment_warning(broker, subject):
    """Record a deployment, and return the warning about its subject."""
    arguments = ["--subject", subject, "--kind", "prompt", "--author", "ci", "--bootstrap", broker.bootstrap]
    result = CliRunner().invoke(deployed, arguments, catch_exceptions=False)
    assert (result.exit_code, result.stdout[:8]) == (0, "deployed")
    return result.stderr


async def as_json(broker, *arguments):
    return json.loads(await asyncio.to_thread(status, broker, "--json", *arguments))


async def wait_for(broker, is_reached):
    deadline = time.monotonic() + 60
    while not is_reached(found := await as_json(broker)):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.3)
    return found


def record(number, **output):
    at_ms = int(time.time() * 1000)
    return json.dumps({"subject": "bot", "request_id": f"r-{number}", "timestamp": at_ms, "output": output}).encode()


async def write(broker, *sent, transaction=False):
    options = {"transactional_id": f"test-{uuid4().hex}"} if transaction else {}
    async with AIOKafkaProducer(**broker.cluster.client_options(), **options) as producer:
        if transaction:
            await producer.begin_transaction()
        for value in sent:
            await producer.send_and_wait(RECORDS, value, partition=2)
        if transaction:
            await producer.commit_transaction()


async def test_records_are_seen_before_while_and_after_detect_runs(empty_broker, tmp_path):
    nothing = await asyncio.to_thread(status, empty_broker)
    assert nothing == f"no records yet at {empty_broker.bootstrap}: send one, as docs/connect.md shows\n"
    assert await asyncio.to_thread(deployment_warning, empty_broker, "bto") == ""

    await write(empty_broker, record(0, refused=False))
    text = await asyncio.to_thread(status, empty_broker)
    assert "records have arrived, but detect has not read them: 1 message, the oldest appended " in text
    assert "(partition 2: 1). If detect does not run, start it with driftwire up" in text
    assert "detect has not written a checkpoint yet" in text

    arguments = ["-m", "topologies.cli", "worker", "detect", "--bootstrap", empty_broker.bootstrap]
    with WorkerUnderTest(arguments, tmp_path / "log") as worker:
        worker.start()
        first = await wait_for(empty_broker, lambda found: found["records"] == 1)
        (subject,) = first["subjects"]
        assert (subject["subject"], subject["state"], subject["records"]) == ("bot", "learning", 1)
        warning = await asyncio.to_thread(deployment_warning, empty_broker, "bto")
        assert warning == 'WARNING: detect has read no records of "bto" yet; did you mean "bot"?\n'
        assert await asyncio.to_thread(deployment_warning, empty_broker, "bot") == ""
        assert first["waiting"] == []
        repeated = record(1, refused=False)
        await write(empty_broker, repeated, repeated, record(2, length="nine"), b"{", record(3), transaction=True)
        # The marker at the end of the transaction is not a record that waits.
        found = await wait_for(empty_broker, lambda found: found["records"] == 6 and not found["waiting"])
        (subject,) = found["subjects"]
        assert found["dead_letters"] == 1
        assert (subject["records"], subject["duplicates"]) == (4, 1)
        assert subject["bad_fields"] == [{"field": "output.length", "reason": "is_text", "count": 1}]
        text = await asyncio.to_thread(status, empty_broker, "--subject", "bot")
        assert "bot: output.length is text in 1 record" in text
        assert "dead letters: 1 of 6 records could not be used" in text
        assert "driftwire dead-letters --since 1h" in text
        assert "detect has not" not in text
        assert worker.stop() == 0

    await write(empty_broker, record(4), record(5))
    stopped = await as_json(empty_broker)
    assert [(waiting["partition"], waiting["messages"]) for waiting in stopped["waiting"]] == [(2, 2)]
    assert stopped["records"] == 6
    unknown = await asyncio.to_thread(status, empty_broker, "--subject", "nobody")
    assert f"detect has read no records of nobody at {empty_broker.bootstrap}: check the name" in unknown


async def write_state(broker, partition, step):
    async with AIOKafkaProducer(**broker.cluster.client_options()) as producer:
        for key, value in step.changed():
            await producer.send(checkpoints_topic("detect"), value, key, partition=partition)


async def test_a_subject_of_several_partitions_is_one_row_with_the_time_of_its_baseline(empty_broker):
    monitored, learning = DetectStep(0, SETTINGS, replay=True), DetectStep(1, SETTINGS, replay=True)
    outputs = monitored.step([message(offset, value) for offset, value in enumerate(values(1400))])
    learning.step([message(offset, value) for offset, value in enumerate(values(300))])
    await write_state(empty_broker, 0, monitored)
    await write_state(empty_broker, 1, learning)
    (published,) = [output for output in outputs if output.topic == BASELINES]
    before_ms = int(time.time() * 1000)
    await write_message(empty_broker.cluster, BASELINES, published.key, published.value)
    found = await as_json(empty_broker)
    (subject,) = found["subjects"]
    assert subject["state"] == "monitored"
    assert subject["records"] == 1700 == found["records"]
    assert published.key.decode() == f"bot/{subject['baseline_version']}"
    text = await asyncio.to_thread(status, empty_broker)
    assert f"monitored since {time.strftime('%H:%M', time.gmtime(before_ms / 1000))}" in text
    assert not subject["sampled"]
    sampled = Baseline.from_json(published.value).model_copy(update={"sampled": "tail"})
    await write_message(empty_broker.cluster, BASELINES, published.key, sampled.to_json())
    assert (await as_json(empty_broker))["subjects"][0]["sampled"]


async def test_state_of_a_newer_version_is_one_clear_line(empty_broker):
    value = f'{{"format":{FORMAT + 1},"kind":"partition","settings":{{}},"state":{{}}}}'.encode()
    async with AIOKafkaProducer(**empty_broker.cluster.client_options()) as producer:
        await producer.send_and_wait(checkpoints_topic("detect"), value, b"partition/", partition=2)
    with pytest.raises(DriftwireError, match=r"a newer version of driftwire wrote the state of detect at .*: use that"):
        await asyncio.to_thread(status, empty_broker)


async def test_a_missing_broker_is_one_line():
    with pytest.raises(DriftwireError, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        await asyncio.to_thread(CliRunner().invoke, command, ["--bootstrap", "127.0.0.1:1"], catch_exceptions=False)
