"""The proxy on the wire: its decoding, and each fault with aiokafka and the real broker."""

import asyncio
import math
import struct
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import TransactionalIdAuthorizationFailed
from aiokafka.protocol.fetch import FetchRequest_v11, FetchResponse_v11
from aiokafka.protocol.produce import ProduceRequest_v8, ProduceResponse_v8
from aiokafka.protocol.transaction import InitProducerIdRequest_v0, InitProducerIdResponse_v0

from load.wire import ApiKey, Fault, FaultKind, FaultPlan, WireProxy, WireRequest
from load.wire.protocol import build_error_answer
from schemas.topics import DRIFTS, RECORDS
from topologies.broker import EmbeddedBroker
from topologies.kafka import read_topic

NOT_LEADER = 6
COORDINATOR_NOT_AVAILABLE = 15
INVALID_PRODUCER_EPOCH = 47
TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53
PRODUCER_FENCED = 90

TRANSACTION_APIS = (
    ApiKey.PRODUCE,
    ApiKey.INIT_PRODUCER_ID,
    ApiKey.ADD_PARTITIONS_TO_TXN,
    ApiKey.ADD_OFFSETS_TO_TXN,
    ApiKey.TXN_OFFSET_COMMIT,
    ApiKey.END_TXN,
)


@pytest_asyncio.fixture
async def proxy(broker: EmbeddedBroker) -> AsyncIterator[WireProxy]:
    async with WireProxy(broker.bootstrap) as proxy:
        yield proxy


def transactional_producer(bootstrap: str, name: str = "") -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        transactional_id=name or f"wire-{uuid4().hex}",
        request_timeout_ms=2_000,
        transaction_timeout_ms=10_000,
        retry_backoff_ms=20,
    )


async def commit(producer: AIOKafkaProducer, value: bytes) -> None:
    await producer.begin_transaction()
    # aiokafka gives up if a connection closes while it looks up the coordinator of the group, so that comes later.
    await producer.send_and_wait(DRIFTS, value, partition=0)
    await producer.send_offsets_to_transaction({TopicPartition(RECORDS, 0): 1}, f"wire-{uuid4().hex}")
    await producer.commit_transaction()


async def count_committed(broker: EmbeddedBroker, value: bytes) -> int:
    return sum([message.value == value async for message in read_topic(broker.cluster, DRIFTS)])


def encode_request(api_key: int, version: int, body: str, *, is_flexible: bool = False) -> bytes:
    header = struct.pack(">hhih", api_key, version, 7, 3) + b"app" + (b"\x00" if is_flexible else b"")
    return header + bytes.fromhex(body)


@pytest.mark.parametrize(
    ("api_key", "version", "is_flexible", "body"),
    [
        (ApiKey.END_TXN, 0, False, "0002 7478 0000000000000005 0002 01"),
        (ApiKey.END_TXN, 3, True, "03 7478 0000000000000005 0002 01 00"),
        (ApiKey.ADD_OFFSETS_TO_TXN, 0, False, "0002 7478 0000000000000005 0002 0001 67"),
        (ApiKey.ADD_PARTITIONS_TO_TXN, 3, True, "03 7478 0000000000000005 0002 01 00"),
        (ApiKey.TXN_OFFSET_COMMIT, 0, False, "0002 7478 0001 67 0000000000000005 0002"),
        (ApiKey.TXN_OFFSET_COMMIT, 3, True, "03 7478 02 67 0000000000000005 0002"),
    ],
)
def test_the_transaction_of_a_request_is_decoded(api_key, version, is_flexible, body):
    request = WireRequest.decode(encode_request(api_key, version, body, is_flexible=is_flexible))
    assert (request.correlation_id, request.client_id) == (7, "app")
    assert (request.transactional_id, request.producer_id, request.producer_epoch) == ("tx", 5, 2)
    assert request.commits == (True if api_key == ApiKey.END_TXN else None)


@pytest.mark.parametrize(
    ("version", "is_flexible", "body", "transactional_id", "is_answered"),
    [
        (8, False, "0002 7478 ffff 00000001", "tx", True),
        (9, True, "03 7478 ffff 00000001", "tx", True),
        (8, False, "ffff 0000 00000001", None, False),
        (2, False, "0000 00000001", None, False),
    ],
)
def test_a_produce_request_says_whether_it_is_answered(version, is_flexible, body, transactional_id, is_answered):
    request = WireRequest.decode(encode_request(ApiKey.PRODUCE, version, body, is_flexible=is_flexible))
    assert (request.transactional_id, request.is_answered) == (transactional_id, is_answered)


def test_an_error_answer_lists_the_partitions_of_the_request():
    produce = ProduceRequest_v8("tx", -1, 1000, [("a", [(0, b"x"), (3, b"y")]), ("b", [(1, b"z")])])
    answer = build_error_answer(WireRequest.decode(encode_request(0, 8, "") + produce.encode()), NOT_LEADER)
    topics = ProduceResponse_v8.decode(answer[4:]).topics
    assert [(name, [row[:2] for row in rows]) for name, rows in topics] == [
        ("a", [(0, NOT_LEADER), (3, NOT_LEADER)]),
        ("b", [(1, NOT_LEADER)]),
    ]
    fetch = FetchRequest_v11(-1, 500, 1, 1000, 1, 0, -1, [("a", [(2, 0, 5, 0, 1000)])], [], "")
    answer = build_error_answer(WireRequest.decode(encode_request(1, 11, "") + fetch.encode()), NOT_LEADER)
    decoded = FetchResponse_v11.decode(answer[4:])
    assert decoded.error_code == 0
    assert [(name, [row[:2] for row in rows]) for name, rows in decoded.topics] == [("a", [(2, NOT_LEADER)])]


def test_an_error_answer_of_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="version 99 of API 26"):
        build_error_answer(
            WireRequest.decode(encode_request(ApiKey.END_TXN, 99, "01 0000000000000005 0002 01", is_flexible=True)), 15
        )


def faults_of_plan(plan: FaultPlan, requests: list[WireRequest]) -> list[Fault]:
    return [fault for request in requests if (fault := plan.next_fault(request))]


def test_a_plan_is_the_same_for_a_seed_whatever_other_requests_there_are():
    end = WireRequest.decode(encode_request(ApiKey.END_TXN, 0, "0002 7478 0000000000000005 0002 01"))
    produce = WireRequest.decode(encode_request(ApiKey.PRODUCE, 8, "0002 7478 ffff"))
    spacing = {ApiKey.END_TXN: 10, ApiKey.PRODUCE: 3}
    alone = faults_of_plan(FaultPlan(1, spacing), [end] * 2_000)
    mixed = faults_of_plan(FaultPlan(1, spacing), [produce, end] * 2_000)
    assert [fault for fault in mixed if fault.api_key == ApiKey.END_TXN] == alone
    assert 150 < len(alone) < 250
    assert {fault.kind for fault in alone} == set(FaultKind)
    assert faults_of_plan(FaultPlan(2, spacing), [end] * 2_000) != alone


def test_a_plan_without_room_between_faults_is_refused():
    with pytest.raises(ValueError, match="at least one request"):
        FaultPlan(1, {ApiKey.FETCH: 0})


@pytest.mark.kafka
async def test_all_connections_of_a_client_go_through_the_proxy(proxy):
    async with transactional_producer(proxy.bootstrap) as producer:
        await producer.client.force_metadata_update()
        assert {(node.host, node.port) for node in producer.client.cluster.brokers()} == {(proxy.host, proxy.port)}
        await commit(producer, b"")


@pytest.mark.kafka
@pytest.mark.parametrize("api_key", TRANSACTION_APIS, ids=lambda api_key: api_key.name)
@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind != FaultKind.LATE])
async def test_a_transaction_survives_a_fault_at_each_request(broker, proxy, api_key, kind):
    error = NOT_LEADER if api_key == ApiKey.PRODUCE else COORDINATOR_NOT_AVAILABLE
    fault = Fault(api_key, kind, seconds=0.05, error_code=error)
    value = uuid4().hex.encode()
    producer = transactional_producer(proxy.bootstrap)
    if api_key == ApiKey.INIT_PRODUCER_ID:
        proxy.inject(fault)
        await producer.start()
        await commit(producer, value)
    else:
        await producer.start()
        # aiokafka gives up if the connection breaks while it looks for a coordinator. Let it find both.
        await commit(producer, b"")
        proxy.inject(fault)
        await commit(producer, value)
    await producer.stop()
    assert proxy.counts == {fault.name: 1}
    assert proxy.strikes[0].request.transactional_id is not None
    assert await count_committed(broker, value) == 1


@pytest.mark.kafka
@pytest.mark.parametrize("kind", list(FaultKind))
async def test_a_reader_survives_a_fault_at_a_fetch(broker, proxy, kind):
    value = uuid4().hex.encode()
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        first = await producer.send_and_wait(RECORDS, value, partition=0)
    fault = Fault(ApiKey.FETCH, kind, seconds=0.05, error_code=NOT_LEADER)
    proxy.inject(fault)
    partition = TopicPartition(RECORDS, 0)
    async with AIOKafkaConsumer(bootstrap_servers=proxy.bootstrap, request_timeout_ms=2_000) as consumer:
        consumer.assign([partition])
        consumer.seek(partition, first.offset)
        assert (await asyncio.wait_for(consumer.getone(), 10)).value == value
        await proxy.deliver_late_requests()
    assert proxy.counts == {fault.name: 1}


async def exchange(address: str, request: bytes) -> bytes:
    """Send a request on a separate connection. Return the answer, or nothing if the connection is closed."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(struct.pack(">i", len(request)) + request)
    answer = await reader.read(1_000)
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("kind", "executions"),
    [
        (FaultKind.DROP_REQUEST, 0),
        (FaultKind.CUT, 0),
        (FaultKind.ERROR, 0),
        (FaultKind.DROP_ANSWER, 1),
        (FaultKind.LATE, 1),
        (FaultKind.DELAY, 1),
        (FaultKind.DUPLICATE, 2),
    ],
)
async def test_a_request_is_executed_as_often_as_its_fault_says(broker, proxy, kind, executions):
    name = f"wire-{uuid4().hex}"
    request = encode_request(ApiKey.INIT_PRODUCER_ID, 0, "") + InitProducerIdRequest_v0(name, 10_000).encode()
    await exchange(broker.bootstrap, request)
    proxy.inject(Fault(ApiKey.INIT_PRODUCER_ID, kind, seconds=1.5, error_code=COORDINATOR_NOT_AVAILABLE))
    started = time.monotonic()
    answer = await exchange(proxy.bootstrap, request)
    elapsed_s = time.monotonic() - started
    assert bool(answer) == (kind in {FaultKind.ERROR, FaultKind.DELAY, FaultKind.DUPLICATE})
    assert (elapsed_s >= 1.5) == (kind in {FaultKind.DROP_REQUEST, FaultKind.DROP_ANSWER, FaultKind.DELAY})
    await proxy.deliver_late_requests()
    assert [strike.fault.kind for strike in proxy.strikes] == [kind]
    # Each execution raises the epoch by one.
    last = InitProducerIdResponse_v0.decode((await exchange(broker.bootstrap, request))[8:])
    assert (last.error_code, last.producer_epoch) == (0, executions + 1)


@pytest.mark.kafka
async def test_an_error_reaches_the_client(broker, proxy):
    proxy.inject(Fault(ApiKey.END_TXN, FaultKind.ERROR, error_code=TRANSACTIONAL_ID_AUTHORIZATION_FAILED))
    name = f"wire-{uuid4().hex}"
    producer = transactional_producer(proxy.bootstrap, name)
    await producer.start()
    with pytest.raises(TransactionalIdAuthorizationFailed):
        await commit(producer, b"")
    await producer.stop()
    async with transactional_producer(broker.bootstrap, name):
        pass  # ends the open transaction, which blocks all readers of committed messages


@pytest.mark.kafka
async def test_a_late_request_of_a_replaced_producer_is_refused(proxy):
    name = f"wire-{uuid4().hex}"
    proxy.inject(Fault(ApiKey.END_TXN, FaultKind.LATE, seconds=math.inf))
    async with transactional_producer(proxy.bootstrap, name) as first:
        await commit(first, b"")
    async with transactional_producer(proxy.bootstrap, name) as second:
        await commit(second, b"")
        assert not proxy.strikes
        await proxy.deliver_late_requests()
    (strike,) = proxy.strikes
    assert strike.request.commits
    assert strike.error_code in {INVALID_PRODUCER_EPOCH, PRODUCER_FENCED}


@pytest.mark.kafka
async def test_a_late_request_is_delivered_before_the_chosen_one(broker, proxy):
    value = uuid4().hex.encode()
    name = f"wire-{uuid4().hex}"
    proxy.inject(
        Fault(
            ApiKey.END_TXN,
            FaultKind.LATE,
            seconds=math.inf,
            before=lambda request: request.api_key == ApiKey.ADD_OFFSETS_TO_TXN and request.transactional_id == name,
        )
    )
    async with transactional_producer(proxy.bootstrap, name) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(DRIFTS, b"", partition=0)
        await producer.commit_transaction()
        await producer.begin_transaction()
        await producer.send_and_wait(DRIFTS, value, partition=0)
        assert await count_committed(broker, value) == 0
        await producer.send_offsets_to_transaction({TopicPartition(RECORDS, 0): 1}, name)
        # This client does not know that the transaction has ended, because the broker accepted the late request.
        assert await count_committed(broker, value) == 1
        assert [strike.error_code for strike in proxy.strikes] == [0]
        await producer.commit_transaction()


@pytest.mark.kafka
async def test_a_stopped_proxy_has_closed_everything(broker):
    proxy = WireProxy(broker.bootstrap)
    await proxy.start()
    producer = transactional_producer(proxy.bootstrap)
    await producer.start()
    proxy.inject(Fault(ApiKey.END_TXN, FaultKind.LATE, seconds=math.inf))
    await commit(producer, b"")
    await proxy.stop()
    assert proxy.counts == {}
    with pytest.raises(OSError, match=r"Connect call failed"):
        await asyncio.open_connection(proxy.host, proxy.port)
    await producer.stop()
