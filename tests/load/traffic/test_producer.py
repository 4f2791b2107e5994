"""Producing to a real broker: messages arrive once, in order, in the partition that Kafka's clients would choose."""

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from load.traffic.outgoing_message import OutgoingMessage
from load.traffic.producer import produce
from schemas.topics import RECORDS
from topologies.broker.embedded_broker import EmbeddedBroker
from topologies.errors import BrokerUnreachable
from topologies.kafka import Cluster

pytestmark = pytest.mark.kafka


class Arrivals:
    """Messages in the records topic since the test began. Other tests write to the same broker."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.starts: dict[TopicPartition, int] = {}

    async def begin(self) -> None:
        async with AIOKafkaConsumer(RECORDS, **self.cluster.client_options(), group_id=None) as consumer:
            self.starts = await consumer.end_offsets(consumer.assignment())

    async def all(self) -> list[ConsumerRecord]:
        found: list[ConsumerRecord] = []
        async with AIOKafkaConsumer(RECORDS, **self.cluster.client_options(), group_id=None) as consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            for partition, start in self.starts.items():
                consumer.seek(partition, start)
            while len(found) < sum(ends.values()) - sum(self.starts.values()):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
        return found


@pytest_asyncio.fixture
async def arrivals(broker: EmbeddedBroker) -> Arrivals:
    since = Arrivals(broker.cluster)
    await since.begin()
    return since


async def test_everything_arrives_once_and_in_order_by_key(arrivals: Arrivals) -> None:
    messages = [OutgoingMessage(0, f"s-{number % 7}".encode(), b"%d" % number * 200) for number in range(20_000)]
    counted: list[int] = []
    produced = await produce(arrivals.cluster, messages, on_progress=counted.append)
    found = await arrivals.all()
    assert produced.messages == len(found) == 20_000
    assert counted == sorted(counted)
    assert produced.partitions == {record.partition for record in found}
    for key in {message.key for message in messages}:
        arrived = [record.value for record in found if record.key == key]
        assert arrived == [message.value for message in messages if message.key == key]


async def test_keys_go_to_the_partition_that_an_ordinary_client_chooses(arrivals: Arrivals) -> None:
    keys = [f"subject-{number}".encode() for number in range(30)]
    await produce(arrivals.cluster, [OutgoingMessage(0, key, b"{}") for key in keys])
    ordinary = AIOKafkaProducer(**arrivals.cluster.client_options())
    await ordinary.start()
    for key in keys:
        await ordinary.send_and_wait(RECORDS, b"{}", key=key)
    await ordinary.stop()
    partitions_by_key: dict[bytes, set[int]] = {}
    for record in await arrivals.all():
        partitions_by_key.setdefault(record.key, set()).add(record.partition)
    assert all(len(partitions) == 1 for partitions in partitions_by_key.values())


async def test_large_messages_and_messages_without_a_key_arrive(arrivals: Arrivals) -> None:
    big = b"x" * 5_000_000
    await produce(
        arrivals.cluster,
        [OutgoingMessage(0, None, big), OutgoingMessage(0, None, b"{}"), OutgoingMessage(0, b"k", big)],
    )
    assert sorted(len(record.value) for record in await arrivals.all()) == [2, 5_000_000, 5_000_000]


async def test_a_speed_keeps_the_pace_of_event_time(arrivals: Arrivals) -> None:
    messages = [OutgoingMessage(number * 100, b"k", b"{}") for number in range(100)]
    produced = await produce(arrivals.cluster, messages, speed=10.0)
    assert produced.seconds > 0.9  # the last 50 ms are not waited for


async def test_a_cluster_that_cannot_be_reached_is_an_error() -> None:
    with pytest.raises(BrokerUnreachable, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        await produce(Cluster("127.0.0.1:1"), [])
