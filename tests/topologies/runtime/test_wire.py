"""Checkpoints behind a proxy that injects faults: each is written completely and once, even if requests are lost or
late.

The end of a transaction (END_TXN) that arrives late is the hardest case. The client has already repeated the request,
and the late copy can end the same producer's next transaction too early.
"""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from aiokafka.errors import ProducerFenced

from load.wire import ApiKey, Fault, FaultKind, FaultPlan, WireProxy, WireRequest
from pipeline.step import OutputMessage
from schemas.topics import DRIFTS, RECORDS
from topologies.broker import EmbeddedBroker, create_topics
from topologies.kafka import Cluster, read_topic
from topologies.runtime.checkpoint import CheckpointFailed, Checkpoints, read_checkpoint

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

STEP = "detect"
PARTITION = 0

OUTPUTS = 4
OUTPUT_BYTES = 100_000
"""The outputs of a checkpoint exceed one producer batch, so some reach the broker before the state."""

COMMIT_TIMEOUT_S = 30.0
ATTEMPTS_MAX = 10


@pytest.fixture(scope="module")
def wire_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A broker whose checkpoints no other module writes."""
    embedded = EmbeddedBroker(tmp_path_factory.mktemp("wire-broker"))
    asyncio.run(embedded.start())
    asyncio.run(create_topics(embedded.cluster, 1, 1))
    yield embedded
    asyncio.run(embedded.stop())


@pytest_asyncio.fixture
async def proxy(wire_broker: EmbeddedBroker) -> AsyncIterator[WireProxy]:
    async with WireProxy(wire_broker.bootstrap) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def first(wire_broker: EmbeddedBroker) -> int:
    """Number of a test's first checkpoint, which is also the last record that it covers."""
    stored = await read_checkpoint(wire_broker.cluster, STEP, PARTITION)
    return (stored.offsets or {}).get(RECORDS, 0) + 1_000


def output_id(checkpoint: int, number: int) -> bytes:
    return f"{checkpoint}.{number}".encode()


def state_marker(checkpoint: int) -> bytes:
    return f"state of checkpoint {checkpoint};".encode()


def writes_state(checkpoint: int, request: WireRequest) -> bool:
    return request.api_key == ApiKey.PRODUCE and state_marker(checkpoint) in request.frame


async def write_checkpoint(checkpoints: Checkpoints, checkpoint: int) -> None:
    """Write a checkpoint with outputs, a state and an offset that contain its number."""
    outputs = [OutputMessage(DRIFTS, output_id(checkpoint, number), bytes(OUTPUT_BYTES)) for number in range(OUTPUTS)]
    await checkpoints.commit(outputs, {b"part": state_marker(checkpoint)}, {RECORDS: checkpoint}, {RECORDS: checkpoint})


class Owner:
    """Owner of a partition that acts like the runtime: after a failure, it opens a new producer and writes again.

    After it was fenced, it restores the partition, because its own late INIT_PRODUCER_ID may have fenced it.
    """

    def __init__(self, bootstrap: str) -> None:
        self._checkpoints = Checkpoints(Cluster(bootstrap), "wire", STEP, PARTITION)
        self._is_open = False
        self.errors: list[Exception] = []

    async def write(self, checkpoint: int) -> None:
        """Write a checkpoint, unless it has already been written."""
        has_failed = False
        for _ in range(ATTEMPTS_MAX):
            try:
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    if not self._is_open:
                        stored = await self._checkpoints.open()
                        self._is_open = True
                        if (stored.offsets or {}).get(RECORDS) == checkpoint:
                            return
                    if has_failed and await self._checkpoints.reopen():
                        return
                    await write_checkpoint(self._checkpoints, checkpoint)
                    return
            except CheckpointFailed as error:
                self.errors.append(error)
                has_failed = self._is_open
            except ProducerFenced as error:
                self.errors.append(error)
                self._is_open = has_failed = False
        raise AssertionError(f"checkpoint {checkpoint} was not written: {self.errors[-ATTEMPTS_MAX:]}")

    async def close(self) -> None:
        await self._checkpoints.close()


async def read_outputs(broker: EmbeddedBroker) -> Counter[bytes]:
    """Count the outputs that readers of committed messages see, by id."""
    return Counter([message.key or b"" async for message in read_topic(broker.cluster, DRIFTS)])


async def assert_written_once(broker: EmbeddedBroker, checkpoints: range) -> None:
    """Assert that readers of committed messages see the outputs of each checkpoint once, and the state of the last one."""
    expected = {output_id(checkpoint, number) for checkpoint in checkpoints for number in range(OUTPUTS)}
    outputs = await read_outputs(broker)
    stored = await read_checkpoint(broker.cluster, STEP, PARTITION)
    assert {
        "lost": sorted(expected - outputs.keys()),
        "twice": sorted(key for key in expected if outputs[key] > 1),
        "state": stored.parts.get(b"part"),
        "offset": (stored.offsets or {}).get(RECORDS),
        "problems": stored.problems,
    } == {"lost": [], "twice": [], "state": state_marker(checkpoints[-1]), "offset": checkpoints[-1], "problems": ()}


async def test_outputs_are_not_visible_before_their_state_when_the_last_end_arrives_late(
    wire_broker: EmbeddedBroker, proxy: WireProxy, first: int
) -> None:
    second = first + 1
    proxy.inject(Fault(ApiKey.END_TXN, FaultKind.LATE, math.inf, before=lambda request: writes_state(second, request)))
    proxy.inject(Fault(ApiKey.PRODUCE, FaultKind.DELAY, 3.0, matches=lambda request: writes_state(second, request)))
    owner = Owner(proxy.bootstrap)
    await owner.write(first)
    writing = asyncio.create_task(owner.write(second))
    while not proxy.strikes:  # noqa: ASYNC110  strikes can only be polled
        await asyncio.sleep(0.05)
    # The late request has arrived after the first outputs, but the state has not.
    await asyncio.sleep(0.5)
    outputs = await read_outputs(wire_broker)
    assert proxy.counts == {"end_txn.late": 1}
    await writing
    await owner.close()
    assert proxy.counts == {"end_txn.late": 1, "produce.delay": 1}
    assert not [number for number in range(OUTPUTS) if output_id(second, number) in outputs]
    await assert_written_once(wire_broker, range(first, second + 1))


async def test_a_checkpoint_is_not_torn_when_the_end_of_the_last_one_arrives_late(
    wire_broker: EmbeddedBroker, proxy: WireProxy, first: int
) -> None:
    second = first + 1
    # The late request arrives after the first outputs and before the state.
    proxy.inject(
        Fault(
            ApiKey.END_TXN,
            FaultKind.LATE,
            math.inf,
            before=lambda request: request.api_key == ApiKey.ADD_OFFSETS_TO_TXN,
        )
    )
    proxy.inject(Fault(ApiKey.PRODUCE, FaultKind.DELAY, 0.5, matches=lambda request: writes_state(second, request)))
    owner = Owner(proxy.bootstrap)
    await owner.write(first)
    await owner.write(second)
    assert proxy.counts == {"end_txn.late": 1, "produce.delay": 1}
    await owner.close()
    await assert_written_once(wire_broker, range(first, second + 1))


@pytest.mark.parametrize("kind", [FaultKind.DROP_REQUEST, FaultKind.DROP_ANSWER, FaultKind.CUT, FaultKind.DUPLICATE])
@pytest.mark.parametrize(
    "api_key",
    [ApiKey.INIT_PRODUCER_ID, ApiKey.ADD_PARTITIONS_TO_TXN, ApiKey.PRODUCE, ApiKey.TXN_OFFSET_COMMIT, ApiKey.END_TXN],
    ids=lambda api_key: api_key.name,
)
async def test_a_checkpoint_is_written_once_if_one_of_its_requests_is_lost_or_repeated(
    wire_broker: EmbeddedBroker, proxy: WireProxy, first: int, api_key: ApiKey, kind: FaultKind
) -> None:
    fault = Fault(api_key, kind)
    proxy.inject(fault)
    checkpoints = range(first, first + 3)
    owner = Owner(proxy.bootstrap)
    for checkpoint in checkpoints:
        await owner.write(checkpoint)
    assert proxy.counts == {fault.name: 1}
    await owner.close()
    await assert_written_once(wire_broker, checkpoints)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_checkpoints_are_written_once_under_a_plan_of_faults(
    wire_broker: EmbeddedBroker, proxy: WireProxy, first: int, seed: int
) -> None:
    checkpoints = range(first, first + 30)
    proxy.plan = FaultPlan(
        seed,
        {
            ApiKey.INIT_PRODUCER_ID: 3,
            ApiKey.ADD_PARTITIONS_TO_TXN: 20,
            ApiKey.PRODUCE: 20,
            ApiKey.ADD_OFFSETS_TO_TXN: 12,
            ApiKey.TXN_OFFSET_COMMIT: 12,
            ApiKey.END_TXN: 3,
        },
        seconds_max=0.3,
    )
    owner = Owner(proxy.bootstrap)
    for checkpoint in checkpoints:
        await owner.write(checkpoint)
    await proxy.deliver_late_requests()
    await owner.close()
    assert sum(proxy.counts.values()) > len(checkpoints) / 3, proxy.counts
    await assert_written_once(wire_broker, checkpoints)
