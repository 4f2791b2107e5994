"""Producing to a real broker: everything arrives once, in order, where Kafka's own clients would put it."""

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from load.errors import LoadError
from load.files import Line
from load.produce import produce
from schemas.topics import RECORDS
from topologies.broker import EmbeddedBroker

pytestmark = pytest.mark.kafka


async def everything(bootstrap: str) -> list[ConsumerRecord]:
    consumer = AIOKafkaConsumer(RECORDS, bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    found: list[ConsumerRecord] = []
    while batch := await consumer.getmany(timeout_ms=1000):
        found += [record for records in batch.values() for record in records]
    await consumer.stop()
    return found


async def test_everything_arrives_once_and_in_order_by_key(empty_broker: EmbeddedBroker) -> None:
    lines = [Line(0, f"s-{number % 7}".encode(), b"%d" % number * 200) for number in range(20_000)]
    counted: list[int] = []
    produced = await produce(empty_broker.bootstrap, lines, on_progress=counted.append)
    found = await everything(empty_broker.bootstrap)
    assert produced.messages == len(found) == 20_000
    assert counted == sorted(counted)
    assert produced.partitions == {record.partition for record in found}
    for key in {line.key for line in lines}:
        assert [each.value for each in found if each.key == key] == [each.value for each in lines if each.key == key]


async def test_keys_go_where_an_ordinary_client_sends_them(empty_broker: EmbeddedBroker) -> None:
    keys = [f"subject-{number}".encode() for number in range(30)]
    await produce(empty_broker.bootstrap, [Line(0, key, b"{}") for key in keys])
    ordinary = AIOKafkaProducer(bootstrap_servers=empty_broker.bootstrap)
    await ordinary.start()
    for key in keys:
        await ordinary.send_and_wait(RECORDS, b"{}", key=key)
    await ordinary.stop()
    places: dict[bytes, set[int]] = {}
    for record in await everything(empty_broker.bootstrap):
        places.setdefault(record.key, set()).add(record.partition)
    assert all(len(partitions) == 1 for partitions in places.values())


async def test_large_messages_and_messages_without_a_key_arrive(empty_broker: EmbeddedBroker) -> None:
    big = b"x" * 5_000_000
    await produce(empty_broker.bootstrap, [Line(0, None, big), Line(0, None, b"{}"), Line(0, b"k", big)])
    assert sorted(len(record.value) for record in await everything(empty_broker.bootstrap)) == [2, 5_000_000, 5_000_000]


async def test_a_speed_keeps_the_pace_of_event_time(empty_broker: EmbeddedBroker) -> None:
    lines = [Line(number * 100, b"k", b"{}") for number in range(100)]
    produced = await produce(empty_broker.bootstrap, lines, speed=10.0)
    assert produced.seconds > 0.98


async def test_a_cluster_that_is_not_there_is_one_clear_line() -> None:
    with pytest.raises(LoadError, match=r"Kafka at 127\.0\.0\.1:1: .*is it running"):
        await produce("127.0.0.1:1", [])
