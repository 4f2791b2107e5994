"""A worker while Kafka is down: it waits, says so in one line of its own, and continues when Kafka answers again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from load.wire import ApiKey, Fault, FaultKind, WireProxy
from tests.topologies.worker_under_test import WorkerUnderTest
from topologies.broker import EmbeddedBroker
from topologies.configuration import Configuration, write_configuration
from topologies.kafka import Cluster

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest_asyncio.fixture
async def worker(empty_broker: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[WorkerUnderTest]:
    """A worker of detect that has not started. Its topics exist."""
    path = tmp_path / "configuration.json"
    write_configuration(Configuration().with_cluster(empty_broker.cluster), path)
    with WorkerUnderTest(["-m", "tests.topologies.step_worker", "detect", str(path)], tmp_path / "log") as made:
        yield made


async def test_a_worker_waits_for_kafka_at_its_start_and_while_it_runs(
    empty_broker: EmbeddedBroker, worker: WorkerUnderTest
) -> None:
    await empty_broker.stop()
    worker.start()
    worker.wait_for_output(f"no Kafka broker answers at {empty_broker.bootstrap}")
    await empty_broker.start()
    await asyncio.to_thread(worker.wait_for_output, "detect: ready")
    await empty_broker.stop()
    worker.wait_for_output(f"Kafka at {empty_broker.bootstrap} does not answer; waiting for it")
    await empty_broker.start()
    await asyncio.to_thread(worker.wait_for_output, f"Kafka at {empty_broker.bootstrap} answers again")
    assert await asyncio.to_thread(worker.stop) == 0
    assert "Traceback" not in worker.output
    assert "aiokafka" not in worker.output


async def test_a_worker_that_waits_for_kafka_at_its_start_stops_on_a_signal(
    empty_broker: EmbeddedBroker, worker: WorkerUnderTest
) -> None:
    await empty_broker.stop()
    worker.start()
    worker.wait_for_output("no Kafka broker answers")
    assert worker.stop() == 0
    assert "Traceback" not in worker.output


LOAD_IN_PROGRESS = 14
"""Error code of a coordinator that is still reading its groups, for example after a restart of the broker."""


async def test_a_worker_that_is_refused_while_it_joins_its_group_joins_again(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    async with WireProxy(empty_broker.bootstrap) as proxy:
        path = tmp_path / "configuration.json"
        write_configuration(Configuration().with_cluster(Cluster(proxy.bootstrap)), path)
        fault = Fault(ApiKey.SYNC_GROUP, FaultKind.ERROR, error_code=LOAD_IN_PROGRESS)
        proxy.inject(fault)
        with WorkerUnderTest(["-m", "tests.topologies.step_worker", "detect", str(path)], tmp_path / "log") as worker:
            worker.start()
            await asyncio.to_thread(worker.wait_for_output, "detect: ready")
            assert [strike.fault for strike in proxy.strikes] == [fault]
            assert await asyncio.to_thread(worker.stop) == 0
            assert "Traceback" not in worker.output
