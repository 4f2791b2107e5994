"""Comparison of aiokafka and confluent-kafka on the embedded broker, with the figures of
``docs/adr/0004-kafka-client.md``.

confluent-kafka is not a dependency. Install the package together with this project in a separate environment, and run::

    python -m tests.client_trial
    python -m tests.client_trial --fetch-records 200000 --rounds 5

The program prints one line per trial and client.
"""

import argparse
import asyncio
import contextlib
import logging
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiokafka
import confluent_kafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka import Consumer, KafkaException, Producer

from load.wire import ApiKey, Fault, FaultKind, WireProxy
from load.world.healthy import healthy_day
from load.world.json_writer import json_lines
from load.world.world import World
from pipeline.detect.offline.history import learn_history
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.topics import BASELINES, RECORDS
from topologies.broker import KAFKA_VERSION, EmbeddedBroker

START_MS = 1_795_500_000_000
RECORDS_PER_SECOND = 2_000.0
MESSAGE_BYTES = 924
TOPIC_BYTES_MAX = 100_000
"""Limit of the topics on a message. It is below both clients' limit on a request."""

SEEKS = 50
TRIAL_TIMEOUT_S = 60.0


class AiokafkaTransactions:
    """A transactional producer of aiokafka."""

    name = "aiokafka"

    def __init__(self, bootstrap: str, transactional_id: str, timeout_ms: int = 60_000) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            transactional_id=transactional_id,
            transaction_timeout_ms=timeout_ms,
            request_timeout_ms=5_000,
        )

    async def start(self) -> None:
        await self._producer.start()

    async def send(self, topic: str, value: bytes) -> None:
        """Send a message in the open transaction, and ignore the result of its future."""
        future = await self._producer.send(topic, value, partition=0)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def begin(self) -> None:
        await self._producer.begin_transaction()

    async def flush(self) -> None:
        await self._producer.flush()

    async def commit(self) -> None:
        await self._producer.commit_transaction()

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._producer.stop(), 5)
        except TimeoutError:
            print("aiokafka: the producer did not close within 5 s")


class ConfluentTransactions:
    """A transactional producer of confluent-kafka that runs blocking calls in threads."""

    name = "confluent-kafka"

    def __init__(self, bootstrap: str, transactional_id: str, timeout_ms: int = 60_000) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "transactional.id": transactional_id,
                "transaction.timeout.ms": timeout_ms,
                "socket.timeout.ms": min(timeout_ms, 5000),
                "message.timeout.ms": min(timeout_ms, 5_000),
                "log_level": 0,
            }
        )

    async def start(self) -> None:
        await asyncio.to_thread(self._producer.init_transactions, 15)

    async def begin(self) -> None:
        self._producer.begin_transaction()

    async def send(self, topic: str, value: bytes) -> None:
        self._producer.produce(topic, value, partition=0)

    async def flush(self) -> None:
        await asyncio.to_thread(self._producer.flush, 5)

    async def commit(self) -> None:
        await asyncio.to_thread(self._producer.commit_transaction, 15)

    async def close(self) -> None:
        with contextlib.suppress(KafkaException):  # of a producer that has been fenced
            await asyncio.to_thread(self._producer.flush, 1)


CLIENTS: tuple[type[Any], ...] = (AiokafkaTransactions, ConfluentTransactions)


async def outcome(work: Awaitable[None], limit_s: float = 40.0) -> str:
    """Return the result of a call, and its duration in seconds."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(limit_s):
            await work
        text = "succeeds"
    except TimeoutError:
        text = "does not return"
    except KafkaException as error:
        detail = error.args[0]
        kinds = [
            word
            for word, is_so in (
                ("fatal", detail.fatal()),
                ("retriable", detail.retriable()),
                ("requires abort", detail.txn_requires_abort()),
            )
            if is_so
        ]
        text = f"raises {detail.name()} ({', '.join(kinds)})"
    except Exception as error:  # noqa: BLE001 every error is a result here
        text = f"raises {type(error).__name__}"
    return f"{text} after {time.monotonic() - started:.1f} s"


async def read_committed(bootstrap: str, topic: str) -> list[bytes]:
    """Return the committed values of the only partition of a topic."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    values = []
    async with consumer:
        while records := [record for batch in (await consumer.getmany(timeout_ms=1_000)).values() for record in batch]:
            values += [record.value for record in records]
    return values


async def try_fencing(client: type[Any], broker: str, topic: str) -> str:
    transactional_id = uuid4().hex
    zombie, owner = client(broker, transactional_id), client(broker, transactional_id)
    await zombie.start()
    await zombie.begin()
    await zombie.send(topic, b"zombie")
    await zombie.flush()
    await owner.start()
    ended = await outcome(zombie.commit())
    values = await read_committed(broker, topic)
    await zombie.close()
    await owner.close()
    return f"commit of the zombie {ended}; visible: {values}"


async def try_refused_message(client: type[Any], broker: str, topic: str) -> str:
    producer = client(broker, uuid4().hex)
    await producer.start()
    results = []
    for values in ([b"good", bytes(2 * TOPIC_BYTES_MAX)], [b"next"]):
        try:
            await producer.begin()
        except (KafkaException, AssertionError) as error:
            results.append(f"begin raises {type(error).__name__}")
            break
        for value in values:
            await producer.send(topic, value)
            await producer.flush()
        results.append(f"commit {await outcome(producer.commit())}")
    visible = [value[:4] for value in await read_committed(broker, topic)]
    await producer.close()
    return f"{'; next transaction: '.join(results)}; visible: {visible}"


async def try_ended_transaction(client: type[Any], broker: str, topic: str) -> str:
    producer = client(broker, uuid4().hex, 1_000)
    await producer.start()
    await producer.begin()
    await producer.send(topic, b"too late")
    await producer.flush()
    await asyncio.sleep(14)  # Kafka looks for expired transactions every 10 s
    ended = await outcome(producer.commit())
    values = await read_committed(broker, topic)
    await producer.close()
    return f"commit {ended}; visible: {values}"


async def try_lost_answer(client: type[Any], broker: str, topic: str) -> str:
    async with WireProxy(broker) as proxy:
        producer = client(proxy.bootstrap, uuid4().hex)
        await producer.start()
        proxy.inject(Fault(ApiKey.END_TXN, FaultKind.DROP_ANSWER))
        await producer.begin()
        await producer.send(topic, b"first")
        ended = await outcome(producer.commit())
        await producer.close()
        values = await read_committed(broker, topic)
    return f"commit {ended}; struck: {dict(proxy.counts)}; visible: {values}"


async def try_late_end(client: type[Any], broker: str, topic: str) -> str:
    async with WireProxy(broker) as proxy:
        producer = client(proxy.bootstrap, uuid4().hex)
        await producer.start()
        proxy.inject(Fault(ApiKey.END_TXN, FaultKind.LATE, math.inf))
        await producer.begin()
        await producer.send(topic, b"first")
        first = await outcome(producer.commit())
        await producer.begin()
        await producer.send(topic, b"second")
        await producer.flush()
        await proxy.deliver_late_requests()
        visible = await read_committed(broker, topic)
        second = await outcome(producer.commit())
        (strike,) = proxy.strikes
        await producer.close()
    return (
        f"first commit {first}; END_TXN version {strike.request.api_version}; late copy answered with error code "
        f"{strike.error_code}; visible before the second commit: {visible}; second commit {second}"
    )


async def try_seeks(client: type[Any], broker: str, topic: str) -> str:
    async with AIOKafkaProducer(bootstrap_servers=broker, linger_ms=10) as producer:
        for _ in range(1_000):
            await producer.send(topic, bytes(100), partition=0)
    targets = [(number * 379) % 1_000 for number in range(SEEKS)]
    wrong = 0
    started = time.monotonic()
    if client is AiokafkaTransactions:
        partition = aiokafka.TopicPartition(topic, 0)
        async with AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False) as consumer:
            consumer.assign([partition])
            for target in targets:
                consumer.seek(partition, target)
                wrong += (await consumer.getone()).offset != target
    else:
        native = Consumer({"bootstrap.servers": broker, "group.id": uuid4().hex, "enable.auto.commit": False})
        native.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
        native.poll(5)
        for target in targets:
            native.seek(confluent_kafka.TopicPartition(topic, 0, target))
            message = native.poll(5)
            wrong += message is None or message.offset() != target
        native.close()
    return f"{wrong} of {SEEKS} seeks wrong; {1_000 * (time.monotonic() - started) / SEEKS:.1f} ms per seek"


async def try_static_membership(client: type[Any], broker: str, topic: str) -> str:
    group = uuid4().hex
    counts = {"assignments of the other member": 0}
    if client is AiokafkaTransactions:

        class Listener(ConsumerRebalanceListener):
            async def on_partitions_revoked(self, revoked: Any) -> None:
                pass

            async def on_partitions_assigned(self, assigned: Any) -> None:
                counts["assignments of the other member"] += 1

        async def join(instance: str, listener: Any = None) -> AIOKafkaConsumer:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=broker, group_id=group, group_instance_id=instance, session_timeout_ms=20_000
            )
            await consumer.start()
            consumer.subscribe([topic], listener=listener)
            await consumer.getmany(timeout_ms=3_000)
            return consumer

        other = await join("other", Listener())
        member = await join("member")
        await other.getmany(timeout_ms=4_000)
        before = counts["assignments of the other member"]
        await member.stop()
        member = await join("member")
        await other.getmany(timeout_ms=5_000)
        await member.stop()
        await other.stop()
    else:

        def join_native(instance: str) -> Consumer:
            return Consumer(
                {
                    "bootstrap.servers": broker,
                    "group.id": group,
                    "group.instance.id": instance,
                    "session.timeout.ms": 20_000,
                }
            )

        def count(consumer: Consumer, partitions: Any) -> None:
            counts["assignments of the other member"] += 1

        def poll(consumers: list[Consumer], seconds: float) -> None:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                for consumer in consumers:
                    consumer.poll(0.1)

        native_other, native_member = join_native("other"), join_native("member")
        native_other.subscribe([topic], on_assign=count)
        native_member.subscribe([topic])
        poll([native_other, native_member], 8)
        before = counts["assignments of the other member"]
        native_member.close()
        native_member = join_native("member")
        native_member.subscribe([topic])
        poll([native_other, native_member], 5)
        native_member.close()
        native_other.close()
    return f"{counts['assignments of the other member'] - before} new assignments of another member after a restart"


async def fetch_aiokafka(broker: str, topic: str, count: int) -> float:
    partition = aiokafka.TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False, isolation_level="read_committed")
    async with consumer:
        consumer.assign([partition])
        consumer.seek(partition, 0)
        seen, started = 0, time.process_time()
        while seen < count:
            for records in (await consumer.getmany(timeout_ms=1_000, max_records=2_000)).values():
                seen += len([record.value for record in records])
        return (time.process_time() - started) / seen


async def fetch_confluent(broker: str, topic: str, count: int) -> float:
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "trial", "enable.auto.commit": False})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    seen, started = 0, time.process_time()
    while seen < count:
        # The runtime is asynchronous, so the blocking call runs in a thread.
        messages = await asyncio.to_thread(consumer.consume, 2_000, 0.1)
        seen += len([message.value() for message in messages])
    used = time.process_time() - started
    consumer.close()
    return used / seen


def measure_step(count: int) -> float:
    """Return the microseconds per record of the detect step where the step is cheapest: one subject, many records."""
    world = World(7, START_MS, RECORDS_PER_SECOND, ())
    lines: list[bytes] = []
    for columns in world.generate(until_ms=START_MS + int(1_000 * count / RECORDS_PER_SECOND)):
        lines += json_lines(columns, subject="bot", seed=7)
    settings = DetectSettings()
    baseline = learn_history(healthy_day(7, START_MS, 50.0, "bot"), settings).baselines["bot"]
    step = DetectStep(0, settings, replay=True)
    step.control(RawMessage(BASELINES, 0, 0, 0, None, baseline.to_json()))
    messages = [RawMessage(RECORDS, 0, offset, 0, None, line) for offset, line in enumerate(lines)]
    started = time.process_time()
    for first in range(0, len(messages), 2_000):
        step.step(messages[first : first + 2_000])
        list(step.changed())
    return 1e6 * (time.process_time() - started) / len(messages)


async def compare_fetch_cost(broker: str, topic: str, count: int, rounds: int) -> None:
    """Print the processor time per record of both clients in alternating runs, including all threads."""
    async with AIOKafkaProducer(bootstrap_servers=broker, linger_ms=20, max_batch_size=256 * 1024) as producer:
        for number in range(count):
            await producer.send(topic, number.to_bytes(8, "big") + bytes(MESSAGE_BYTES - 8), partition=0)
    used: dict[str, list[float]] = {"aiokafka": [], "confluent-kafka": []}
    for _ in range(rounds):
        used["aiokafka"].append(1e6 * await fetch_aiokafka(broker, topic, count))
        used["confluent-kafka"].append(1e6 * await fetch_confluent(broker, topic, count))
    for name, values in used.items():
        print(
            f"fetch cost | {name} | {statistics.median(values):.2f} us per record "
            f"({min(values):.2f} to {max(values):.2f}, {rounds} rounds of {count} records of {MESSAGE_BYTES} bytes)"
        )
    step_us = statistics.median(measure_step(count) for _ in range(3))
    aiokafka_us, confluent_us = (statistics.median(values) for values in used.values())
    print(
        f"detect worker | {step_us:.1f} us per record for the step; with confluent-kafka step and fetch together are "
        f"{(step_us + aiokafka_us) / (step_us + confluent_us):.2f} times as fast, and with a fetch that costs nothing "
        f"{(step_us + aiokafka_us) / step_us:.2f} times",
        flush=True,
    )
    ratios = [one / other for one, other in zip(*used.values(), strict=True)]
    print(f"fetch cost | ratio | {statistics.median(ratios):.2f}", flush=True)


Trial = Callable[[type[Any], str, str], Awaitable[str]]

TRIALS: dict[str, tuple[Trial, int]] = {
    "fencing": (try_fencing, 1),
    "refused message": (try_refused_message, 1),
    "ended transaction": (try_ended_transaction, 1),
    "lost answer of END_TXN": (try_lost_answer, 1),
    "late copy of END_TXN": (try_late_end, 1),
    "seeks": (try_seeks, 1),
    "static membership": (try_static_membership, 2),
}
"""Trials by name, with the number of partitions of their topic."""


async def create_topic(broker: str, partitions: int) -> str:
    """Create a topic with a small limit on message size."""
    name = f"trial-{uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.create_topics(
        [NewTopic(name, partitions, 1, topic_configs={"max.message.bytes": str(TOPIC_BYTES_MAX)})]
    )
    await admin.close()
    await asyncio.sleep(0.5)
    return name


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fetch-records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="words in the names of the trials to run", default="")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(
        f"Kafka {KAFKA_VERSION}, aiokafka {aiokafka.__version__}, confluent-kafka {confluent_kafka.__version__} "
        f"(librdkafka {confluent_kafka.libversion()[0]}), Python {sys.version.split()[0]}"
    )
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedBroker(Path(folder)) as broker:
            for name, (trial, partitions) in TRIALS.items():
                for client in CLIENTS if options.only in name else ():
                    topic = await create_topic(broker.bootstrap, partitions)
                    try:
                        async with asyncio.timeout(TRIAL_TIMEOUT_S):
                            result = await trial(client, broker.bootstrap, topic)
                    except Exception as error:  # noqa: BLE001 a failed trial is a result too
                        result = f"{type(error).__name__}: {error}"
                    print(f"{name} | {client.name} | {result}", flush=True)
            topic = f"fetch-{uuid4().hex}"
            admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
            await admin.start()
            await admin.create_topics([NewTopic(topic, 1, 1)])
            await admin.close()
            await compare_fetch_cost(broker.bootstrap, topic, options.fetch_records, options.rounds)


if __name__ == "__main__":
    asyncio.run(main())
