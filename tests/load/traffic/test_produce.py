"""Producing to a real broker: everything arrives once, in order, where Kafka's own clients would put it."""

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from load.errors import LoadError
from load.inputs.files import Line
from load.traffic.produce import produce
from schemas.topics import RECORDS
from topologies.broker.embedded_broker import EmbeddedBroker

pytestmark = pytest.mark.kafka


class Arrivals:
    """What has come to the records' topic since the test began: other tests write to the same broker."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.starts: dict[TopicPartition, int] = {}

    async def begin(self) -> None:
        async with AIOKafkaConsumer(RECORDS, bootstrap_servers=self.bootstrap, group_id=None) as consumer:
            self.starts = await consumer.end_offsets(consumer.assignment())

    async def all(self) -> list[ConsumerRecord]:
        found: list[ConsumerRecord] = []
        async with AIOKafkaConsumer(RECORDS, bootstrap_servers=self.bootstrap, group_id=None) as consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            for partition, start in self.starts.items():
                consumer.seek(partition, start)
            while len(found) < sum(ends.values()) - sum(self.starts.values()):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
        return found


@pytest_asyncio.fixture
async def arrivals(broker: EmbeddedBroker) -> Arrivals:
    since = Arrivals(broker.bootstrap)
    await since.begin()
    return since


async def test_everything_arrives_once_and_in_order_by_key(arrivals: Arrivals) -> None:
    lines = [Line(0, f"s-{number % 7}".encode(), b"%d" % number * 200) for number in range(20_000)]
    counted: list[int] = []
    produced = await produce(arrivals.bootstrap, lines, on_progress=counted.append)
    found = await arrivals.all()
    assert produced.messages == len(found) == 20_000
    assert counted == sorted(counted)
    assert produced.partitions == {record.partition for record in found}
    for key in {line.key for line in lines}:
        assert [each.value for each in found if each.key == key] == [each.value for each in lines if each.key == key]


async def test_keys_go_where_an_ordinary_client_sends_them(arrivals: Arrivals) -> None:
    keys = [f"subject-{number}".encode() for number in range(30)]
    await produce(arrivals.bootstrap, [Line(0, key, b"{}") for key in keys])
    ordinary = AIOKafkaProducer(bootstrap_servers=arrivals.bootstrap)
    await ordinary.start()
    for key in keys:
        await ordinary.send_and_wait(RECORDS, b"{}", key=key)
    await ordinary.stop()
    places: dict[bytes, set[int]] = {}
    for record in await arrivals.all():
        places.setdefault(record.key, set()).add(record.partition)
    assert all(len(partitions) == 1 for partitions in places.values())


async def test_large_messages_and_messages_without_a_key_arrive(arrivals: Arrivals) -> None:
    big = b"x" * 5_000_000
    await produce(arrivals.bootstrap, [Line(0, None, big), Line(0, None, b"{}"), Line(0, b"k", big)])
    assert sorted(len(record.value) for record in await arrivals.all()) == [2, 5_000_000, 5_000_000]


async def test_a_speed_keeps_the_pace_of_event_time(arrivals: Arrivals) -> None:
    lines = [Line(number * 100, b"k", b"{}") for number in range(100)]
    produced = await produce(arrivals.bootstrap, lines, speed=10.0)
    assert produced.seconds > 0.9  # the pace may only lag: the last 50 ms are not slept


async def test_a_cluster_that_is_not_there_is_one_clear_line() -> None:
    with pytest.raises(LoadError, match=r"Kafka at 127\.0\.0\.1:1: .*is it running"):
        await produce("127.0.0.1:1", [])
