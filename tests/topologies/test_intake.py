"""Intake on Kafka: topics of different sizes, keys, a missing topic, and kills between output and offset."""

import asyncio
import json
import random
import re
import time
from collections import Counter

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.partitioner import DefaultPartitioner

from schemas.topics import DEAD_LETTERS, RECORDS
from tests.pipeline.intake.telemetry.builders import Span, spans_message
from tests.topologies.worker_under_test import WorkerUnderTest
from topologies.configuration import Configuration, write_configuration
from topologies.intake import choose_partition
from topologies.runtime.faust_transport import CoPartitionedAssignor

AT = "2026-11-24T03:12:00.123Z"
PARTITIONS = {"shop.requests": 5, "search.requests": 2, "otlp_spans": 3}
SPANS_PER_MESSAGE = 8
SUBJECTS = 7


def settings(bootstrap, app_id, topics=tuple(PARTITIONS)):
    mapping = {"map": ["took=latency_ms:s", "n=request_id", "at=timestamp"], "subject": "{app}"}
    return Configuration.model_validate(
        {
            "kafka": {"bootstrap": bootstrap, "app_id": app_id, "checkpoint_interval_s": 0.3, "session_timeout_s": 3},
            "intake": {
                "topics": {topic: {"format": topic} if topic == "otlp_spans" else mapping for topic in topics},
            },
        }
    )


def worker(configuration, folder, name):
    write_configuration(configuration, folder / f"{name}.json")
    arguments = ["-m", "topologies.cli", "worker", "intake", "--config", str(folder / f"{name}.json")]
    return WorkerUnderTest(arguments, folder / f"{name}.log")


async def create(bootstrap, partitions):
    """Create topics with these numbers of partitions, and wait until clients see them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, count, 1) for name, count in partitions.items()])
        deadline = time.monotonic() + 30
        while any(entry["error_code"] for entry in await admin.describe_topics(list(partitions))):
            assert time.monotonic() < deadline, f"Kafka does not show the topics {', '.join(partitions)}"
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def send(bootstrap, topic, values):
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        futures = [
            await producer.send(topic, value, partition=index % PARTITIONS.get(topic, 1))
            for index, value in enumerate(values)
        ]
        await asyncio.gather(*futures)


async def read_all(bootstrap, topic, count, timeout_s=180.0):
    """Return at least ``count`` committed messages, and all that arrive within a second after them."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed") as consumer:
        partitions = [TopicPartition(topic, number) for number in await consumer_partitions(consumer, topic)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        found, deadline = [], time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            batches = await consumer.getmany(timeout_ms=1000)
            found += [record for records in batches.values() for record in records]
            if len(found) >= count and not batches:
                break
        return found


async def consumer_partitions(consumer, topic):
    for _ in range(100):
        await consumer._client.force_metadata_update()
        if found := consumer.partitions_for_topic(topic):
            return sorted(found)
        consumer._client.add_topic(topic)
        await asyncio.sleep(0.1)
    raise AssertionError(f"there is no topic {topic}")


def messages(topic, numbers):
    """Return a message per number, or one export request per ``SPANS_PER_MESSAGE`` numbers."""
    if topic != "otlp_spans":
        return [message(number) for number in numbers]
    starts = range(numbers.start, numbers.stop, SPANS_PER_MESSAGE)
    return [spans_message(*map(span, range(start, start + SPANS_PER_MESSAGE))) for start in starts]


def span(number):
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.response.id": str(number), "gen_ai.input.messages": "Hi"}
    return Span(attributes | {"service.name": f"app-{number % SUBJECTS}"})


def message(number):
    return json.dumps({"app": f"app-{number % SUBJECTS}", "n": number, "took": 0.5, "at": AT, "prompt": "Hi"}).encode()


@pytest.mark.kafka
@pytest.mark.slow
def test_every_message_becomes_one_record_through_kills(empty_broker, tmp_path):
    bootstrap = empty_broker.bootstrap
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    generator = random.Random(seed)
    asyncio.run(create(bootstrap, PARTITIONS))
    configuration = settings(bootstrap, "kills")
    total = 0
    with worker(configuration, tmp_path, "one") as one, worker(configuration, tmp_path, "two") as two:
        one.start()
        two.start()
        one.wait_for_output("intake: ")
        for _ in range(8):
            for topic in PARTITIONS:
                asyncio.run(send(bootstrap, topic, messages(topic, range(total, total + 400))))
                total += 400
            time.sleep(generator.uniform(0.0, 1.5))
            victim = generator.choice([one, two])
            victim.kill()
            victim.start()
        asyncio.run(send(bootstrap, "shop.requests", [b"no JSON"]))
        records = asyncio.run(read_all(bootstrap, RECORDS, total, timeout_s=240))
        letters = asyncio.run(read_all(bootstrap, DEAD_LETTERS, 1))
        assert [one.stop(), two.stop()] == [0, 0]
    counts = Counter(str(json.loads(record.value)["request_id"]) for record in records)
    assert len(counts) == total
    assert set(counts.values()) == {1}
    assert [json.loads(letter.value)["reason"] for letter in letters] == ["not_json"]
    assert json.loads(letters[0].value)["step"] == "intake"
    for record in records:
        content = json.loads(record.value)
        is_span = "error" in content["infrastructure"]
        assert content.keys() - {"versions", "environment"} == {"subject", "timestamp", "request_id", "infrastructure"}
        assert content["infrastructure"] == (
            {"latency_ms": 1000.0, "error": False} if is_span else {"latency_ms": 500.0}
        )
        assert record.key == content["subject"].encode()
        assert record.partition == choose_partition(record.key, 4)


@pytest.mark.kafka
def test_a_worker_waits_for_a_missing_topic_and_names_it(empty_broker, tmp_path):
    bootstrap = empty_broker.bootstrap
    with worker(settings(bootstrap, "late", ("late.requests",)), tmp_path, "late") as late:
        late.start()
        late.wait_for_output("no topic late.requests: create it")
        late.wait_for_output("intake: standby")
        asyncio.run(create(bootstrap, {"late.requests": 1}))
        asyncio.run(send(bootstrap, "late.requests", [message(1)]))
        (record,) = asyncio.run(read_all(bootstrap, RECORDS, 1))
        assert json.loads(record.value)["subject"] == "app-1"
        assert late.stop() == 0


@pytest.mark.kafka
def test_more_partitions_of_an_input_are_read_after_a_start(empty_broker, tmp_path):
    bootstrap = empty_broker.bootstrap
    asyncio.run(create(bootstrap, {"grown.requests": 1}))
    with worker(settings(bootstrap, "grown", ("grown.requests",)), tmp_path, "grown") as grown:
        grown.start()
        grown.wait_for_output("intake: ready")
        assert grown.stop() == 0
        asyncio.run(grow(bootstrap, "grown.requests", 3))
        grown.start()
        asyncio.run(send_to(bootstrap, TopicPartition("grown.requests", 2), message(1)))
        assert len(asyncio.run(read_all(bootstrap, RECORDS, 1))) == 1
        assert grown.stop() == 0
        line = "grown.requests has 3 partitions instead of 1, so messages with the same key can be in two partitions"
        assert re.findall(rf"intake: partition 0: {line}(.*)", grown.output) == [""]


async def grow(bootstrap, topic, partitions):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(partitions)})
    finally:
        await admin.close()


async def send_to(bootstrap, source, value):
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(source.topic, value, partition=source.partition)


@pytest.mark.parametrize("members", [1, 2, 3, 7])
def test_one_worker_has_all_partitions_with_the_same_number(members):
    counts = {"a": 5, "b": 2, "c": 1}
    cluster, subscribed = cluster_of(counts), members_of(members, counts)
    assigned = CoPartitionedAssignor.assign(cluster, subscribed)
    owners = {}
    for member, assignment in assigned.items():
        for topic, partitions in assignment.assignment:
            for partition in partitions:
                assert owners.setdefault(partition, member) == member
                counts[topic] -= 1
    assert set(counts.values()) == {0}


@pytest.mark.parametrize("members", [1, 2, 3, 7])
def test_topics_of_one_size_are_assigned_as_by_range(members):
    counts = {"a": 5, "b": 5}
    cluster, subscribed = cluster_of(counts), members_of(members, counts)
    expected = RangePartitionAssignor.assign(cluster, subscribed)
    assert CoPartitionedAssignor.assign(cluster, subscribed) == expected


def members_of(count, topics):
    return {f"member-{number}": CoPartitionedAssignor.metadata(set(topics)) for number in range(count)}


def cluster_of(counts):
    class Cluster(ClusterMetadata):
        def partitions_for_topic(self, topic):
            return set(range(counts_before[topic]))

    counts_before = dict(counts)
    return Cluster()


@pytest.mark.parametrize(
    ("key", "partitions"),
    [(b"support-bot", 4), (b"app-1", 12), ("büro".encode(), 7), (b"x" * 200, 100)],
)
def test_a_key_has_the_partition_that_kafka_producers_choose(key, partitions):
    numbers = list(range(partitions))
    assert choose_partition(key, partitions) == DefaultPartitioner()(key, numbers, numbers)
