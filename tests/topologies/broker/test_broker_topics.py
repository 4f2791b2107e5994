"""The topics on the broker are the topics of the table."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.topics import ALERTS, BASELINES, COMMANDS, DEPLOYMENTS, OF_INPUTS, RECORDS, TOPICS, checkpoints_topic
from topologies.broker.broker_topics import create_topics, grow_topics
from topologies.errors import BrokerUnreachable, TopicError
from topologies.kafka import Cluster

pytestmark = pytest.mark.kafka

CREATED = [row for row in TOPICS if row.partitions != OF_INPUTS]
"""The topics of a broker on which no intake worker has run."""


async def broker_settings(cluster, name):
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    finally:
        await admin.close()
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


async def partition_counts(cluster):
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    try:
        return {entry["topic"]: len(entry["partitions"]) for entry in await admin.describe_topics()}
    finally:
        await admin.close()


async def test_every_topic_of_the_table_has_its_partitions(broker):
    counts = await partition_counts(broker.cluster)
    for row in CREATED:
        assert counts[row.name] == (row.partitions or 4), row.name


@pytest.mark.parametrize("row", CREATED, ids=lambda row: row.name)
async def test_a_topic_has_the_settings_of_its_row(broker, row):
    settings = await broker_settings(broker.cluster, row.name)
    assert settings["cleanup.policy"] == row.cleanup
    assert settings["max.message.bytes"] == str(row.message_bytes_max)
    if row.retention_ms is not None:
        assert settings["retention.ms"] == str(row.retention_ms)


async def test_what_people_and_other_systems_write_has_the_time_of_the_broker(broker):
    for name in (RECORDS, DEPLOYMENTS, COMMANDS, BASELINES):
        assert (await broker_settings(broker.cluster, name))["message.timestamp.type"] == "LogAppendTime", name
    assert (await broker_settings(broker.cluster, ALERTS))["message.timestamp.type"] == "CreateTime"


async def test_checkpoints_are_compacted_early_in_small_segments(broker):
    settings = await broker_settings(broker.cluster, checkpoints_topic("detect"))
    assert settings["segment.bytes"] == "67108864"
    assert settings["segment.ms"] == "60000"
    assert settings["min.cleanable.dirty.ratio"] == "0.1"


async def test_existing_topics_are_not_created_again_even_by_three_calls_at_once(broker):
    assert await asyncio.gather(*(create_topics(broker.cluster, 4, 1) for _ in range(3))) == [[], [], []]


async def test_another_number_of_partitions_is_rejected_with_both_numbers(broker):
    with pytest.raises(TopicError, match=r"driftwire\.records has 4 partitions but the configuration requires 12"):
        await create_topics(broker.cluster, 12, 1)


async def test_a_missing_broker_is_one_clear_line():
    with pytest.raises(BrokerUnreachable, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        await create_topics(Cluster("127.0.0.1:1"), 4, 1, timeout_s=2)


async def test_topics_grow_together_with_the_topics_that_are_copartitioned(empty_broker):
    before = await partition_counts(empty_broker.cluster)
    assert await grow_topics(empty_broker.cluster, 6) == {
        checkpoints_topic("detect"): (4, 6),
        RECORDS: (4, 6),
    }
    after = await partition_counts(empty_broker.cluster)
    assert {name for name in before if before[name] != after[name]} == {checkpoints_topic("detect"), RECORDS}
    assert await create_topics(empty_broker.cluster, 6, 1) == []
    assert await grow_topics(empty_broker.cluster, 6) == {}
    with pytest.raises(TopicError, match=r"has 6 partitions: give a larger number"):
        await grow_topics(empty_broker.cluster, 5)
    with pytest.raises(TopicError, match=r"has 6 partitions .* requires 8: .* or run driftwire topics grow 8"):
        await create_topics(empty_broker.cluster, 8, 1)
    with pytest.raises(
        TopicError, match=r"has 6 partitions .* requires 4: set kafka.records_partitions to the existing"
    ):
        await create_topics(empty_broker.cluster, 4, 1)
