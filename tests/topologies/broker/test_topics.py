"""The topics as the broker has them are the topics of the table."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.topics import ALERTS, RECORDS, TOPICS, checkpoints_topic
from topologies.broker.topics import create_topics
from topologies.errors import BrokerError, TopicError

pytestmark = pytest.mark.kafka


async def settings(bootstrap, name):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    finally:
        await admin.close()
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


async def partitions(bootstrap):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return {entry["topic"]: len(entry["partitions"]) for entry in await admin.describe_topics()}
    finally:
        await admin.close()


async def test_every_topic_of_the_table_has_its_partitions(broker):
    found = await partitions(broker.bootstrap)
    for row in TOPICS:
        assert found[row.name] == (row.partitions or 4), row.name


@pytest.mark.parametrize("row", TOPICS, ids=lambda row: row.name)
async def test_a_topic_has_the_settings_of_its_row(broker, row):
    found = await settings(broker.bootstrap, row.name)
    assert found["cleanup.policy"] == row.cleanup
    assert found["max.message.bytes"] == str(row.message_bytes_max)
    if row.retention_ms is not None:
        assert found["retention.ms"] == str(row.retention_ms)


async def test_records_carry_the_brokers_time_and_alerts_the_producers(broker):
    assert (await settings(broker.bootstrap, RECORDS))["message.timestamp.type"] == "LogAppendTime"
    assert (await settings(broker.bootstrap, ALERTS))["message.timestamp.type"] == "CreateTime"


async def test_checkpoints_are_compacted_early_in_small_segments(broker):
    found = await settings(broker.bootstrap, checkpoints_topic("detect"))
    assert (found["segment.bytes"], found["segment.ms"], found["min.cleanable.dirty.ratio"]) == (
        "67108864", "60000", "0.1",
    )  # fmt: skip


async def test_creating_them_again_creates_nothing_even_when_three_do_it_at_once(broker):
    assert await asyncio.gather(*(create_topics(broker.bootstrap, 4, 1) for _ in range(3))) == [[], [], []]


async def test_another_number_of_partitions_is_refused_naming_both(broker):
    with pytest.raises(TopicError, match=r"driftwire\.records has 4 partitions, and the configuration wants 12"):
        await create_topics(broker.bootstrap, 12, 1)


async def test_a_broker_that_is_not_there_is_one_clear_line():
    with pytest.raises(BrokerError, match=r"no Kafka answers at 127\.0\.0\.1:1"):
        await create_topics("127.0.0.1:1", 4, 1, timeout_s=2)
