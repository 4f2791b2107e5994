"""Workers on a real Kafka with every codec, and with batches that cannot be read."""

import asyncio
import hashlib
import json
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from schemas.topics import BASELINES, DRIFTS, RECORDS
from tests.detect_state import dead_letters
from tests.topologies.counting import counting_worker
from tests.topologies.log_segments import damage_batch
from tests.topologies.worker_under_test import WorkerUnderTest
from topologies.broker.embedded_broker import EmbeddedBroker
from topologies.kafka import Cluster, read_topic, write_message

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


async def send_batch(cluster: Cluster, codec: str | None, count: int, value: bytes = b"x" * 300) -> None:
    """Send one batch to partition 0."""
    async with AIOKafkaProducer(
        **cluster.client_options(),
        compression_type=codec,
        linger_ms=200,
        max_batch_size=256 * 1024 * 1024,
        max_request_size=256 * 1024 * 1024,
    ) as producer:
        await asyncio.gather(*[await producer.send(RECORDS, value, partition=0) for _ in range(count)])


async def read_counts(cluster: Cluster) -> list[tuple[int, str]]:
    contents = [json.loads(message.value or b"") async for message in read_topic(cluster, DRIFTS)]
    return [(content["value"], content["hash"]) for content in contents if content["kind"] == "count"]


async def wait_for_counts(cluster: Cluster, worker: WorkerUnderTest, expected: int) -> list[tuple[int, str]]:
    deadline = time.monotonic() + 60
    while len(counts := await read_counts(cluster)) < expected:
        assert worker.is_running, worker.output[-3000:]
        assert time.monotonic() < deadline, f"{counts} of {expected}: {worker.output[-3000:]}"
        await asyncio.sleep(0.3)
    return counts


def hash_of(offsets: list[int]) -> str:
    digest = ""
    for offset in offsets:
        digest = hashlib.sha256(f"{digest}{offset}".encode()).hexdigest()
    return digest


async def test_a_worker_reads_every_codec(empty_broker: EmbeddedBroker, tmp_path: Path) -> None:
    for codec in ("gzip", "snappy", "lz4", "zstd", None):
        await send_batch(empty_broker.cluster, codec, 100)
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        assert await wait_for_counts(empty_broker.cluster, worker, 1) == [(500, hash_of(list(range(500))))]
        assert worker.stop() == 0
    assert await dead_letters(empty_broker.cluster) == []


async def test_batches_that_cannot_be_read_are_dead_lettered_once_and_the_rest_is_used(
    tmp_path: Path, empty_broker: EmbeddedBroker
) -> None:
    for codec in ("gzip", "snappy", "lz4", "zstd", "gzip", None):
        await send_batch(empty_broker.cluster, codec, 100)
    await send_batch(empty_broker.cluster, "zstd", 1, value=bytes(100_000_000))
    await send_batch(empty_broker.cluster, "zstd", 500)
    await write_message(empty_broker.cluster, BASELINES, b"key", b"damaged")
    await write_message(empty_broker.cluster, BASELINES, b"key", b"good")
    await empty_broker.stop()
    for offset in (0, 100, 200, 300):
        damage_batch(empty_broker.data_folder, RECORDS, 0, offset, fix_checksum=True)
    damage_batch(empty_broker.data_folder, RECORDS, 0, 400, fix_checksum=False)
    damage_batch(empty_broker.data_folder, BASELINES, 0, 0, fix_checksum=False)
    await empty_broker.start()
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        used = [*range(500, 600), *range(601, 1101)]
        assert await wait_for_counts(empty_broker.cluster, worker, 1) == [(500, hash_of(used[:500]))]
        assert worker.stop() == 0
        worker.start()
        await send_batch(empty_broker.cluster, None, 400)
        assert await wait_for_counts(empty_broker.cluster, worker, 2) == [
            (500, hash_of(used[:500])),
            (1_000, hash_of([*used, *range(1101, 1501)])),
        ]
        assert worker.stop() == 0
        output = worker.output
    letters = {
        (letter.topic, letter.partition, letter.offset, letter.last_offset, letter.detail)
        for letter in await dead_letters(empty_broker.cluster)
    }
    damaged = "the compressed contents of the batch are damaged"
    assert letters == {
        (RECORDS, 0, 0, 99, damaged),
        (RECORDS, 0, 100, 199, damaged),
        (RECORDS, 0, 200, 299, damaged),
        (RECORDS, 0, 300, 399, damaged),
        (RECORDS, 0, 400, 499, "the checksum of the batch is wrong"),
        (RECORDS, 0, 600, 600, "the batch unpacks to more than 67108864 bytes"),
        (BASELINES, 0, 0, 0, "the checksum of the batch is wrong"),
    }
    assert len(await dead_letters(empty_broker.cluster)) == 7
    assert output.count("driftwire.records partition 0: the messages at offsets 400 to 499 are skipped") == 1


async def test_the_dead_letter_of_a_message_that_unpacks_to_13_megabytes_fits(
    tmp_path: Path, empty_broker: EmbeddedBroker
) -> None:
    value = json.dumps({"subject": "bot", "text": "x" * 13_000_000}).encode()
    await send_batch(empty_broker.cluster, "gzip", 1, value=value)
    configuration = tmp_path / "driftwire.toml"
    configuration.write_text(f'[kafka]\nbootstrap = "{empty_broker.cluster.bootstrap}"\n', encoding="utf-8")
    with WorkerUnderTest(
        ["-m", "tests.topologies.step_worker", "detect", str(configuration)], tmp_path / "log"
    ) as worker:
        worker.start()
        deadline = time.monotonic() + 40
        while not (letters := await dead_letters(empty_broker.cluster)):
            assert time.monotonic() < deadline, worker.output[-3000:]
            await asyncio.sleep(0.3)
        assert worker.stop() == 0
    (letter,) = letters
    assert (letter.reason, letter.value_bytes) == ("too_large", len(value))
    assert letter.value_sha256 == hashlib.sha256(value).hexdigest()
    assert len(letter.to_json()) < 100_000
