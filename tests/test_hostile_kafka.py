"""Hostile input on real Kafka: every kind, one bad message per good one, through the real detect worker.

The same good records go through two brokers: alone on the first, mixed with bad messages on the second. They must leave
the same state. Run it with ``-s`` to see the result of each kind.
"""

import asyncio
import re
import time
from base64 import b64decode
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from load.harness.lag import wait_for_lag
from pipeline.detect.admission.originals import split_array
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from schemas.dead_letter import DeadLetter
from schemas.topics import RECORDS, topic
from tests.detect_state import dead_letters, restored
from tests.hostile import SUBJECT, SUBJECTS, HostileKind, kinds, many_subjects
from tests.pipeline.detect.streams import as_json, record
from tests.topologies.worker_under_test import find_trouble
from topologies.configuration.configuration import Configuration
from topologies.kafka import Cluster
from topologies.kafka.client import WriteRefused, write_message
from topologies.processes.topology import Topology

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

SEED = 7
GOOD_SUBJECT = "good-bot"
PARTITIONS = 4
CONFIGURATION = Configuration(detect=DetectSettings(subjects_max=1000))
INTERVAL_MS = 10
TOPIC_BYTES_MAX = topic(RECORDS).message_bytes_max
ENVELOPE_BYTES = 512
"""Bytes that Kafka itself needs in a message of the largest size."""


@dataclass(frozen=True)
class Sent:
    """One message. ``kind`` is None for good messages and for those with many subjects."""

    partition: int
    key: bytes | None
    value: bytes | None
    kind: HostileKind | None = None


@dataclass
class RunResult:
    """The result of a run: messages by partition and offset, lines of the worker, dead letters and state."""

    sent: dict[tuple[int, int], Sent] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    steps: list[DetectStep] = field(default_factory=list)
    restarts: int = -1


def good_records(count: int, now_ms: int) -> list[Sent]:
    """Return records of one subject over all partitions. Some have a field that is dropped."""
    chance = Random(SEED)
    begin_ms = now_ms - count * INTERVAL_MS
    values = [as_json(record(chance, number, begin_ms + number * INTERVAL_MS, GOOD_SUBJECT)) for number in range(count)]
    return [
        Sent(number % PARTITIONS, b"%s#%d" % (GOOD_SUBJECT.encode(), number), value)
        for number, value in enumerate(values)
    ]


def bad_messages(now_ms: int) -> list[Sent]:
    """Return every kind for every partition, including keys that are not text, and then many subjects."""
    table = [*kinds(now_ms), largest_message()]
    keys = (None, b"", b"\xff\x00key", b"hostile")
    bad = [
        Sent((number + shift) % PARTITIONS, keys[shift], kind.value, kind)
        for shift in range(PARTITIONS)
        for number, kind in enumerate(table)
    ]
    crowd = [Sent(number % PARTITIONS, None, value) for number, value in enumerate(many_subjects(now_ms))]
    return bad + crowd


def largest_message() -> HostileKind:
    return HostileKind(
        "the largest that the topic takes", b"\x00\xff" * ((TOPIC_BYTES_MAX - ENVELOPE_BYTES) // 2), "too_large"
    )


async def send(cluster: Cluster, messages: list[Sent], result: RunResult) -> None:
    async with AIOKafkaProducer(
        **cluster.client_options(), enable_idempotence=True, max_request_size=TOPIC_BYTES_MAX + ENVELOPE_BYTES
    ) as producer:
        deliveries = [await add_to_batch(producer, sent) for sent in messages]
        for sent, delivered in zip(messages, await asyncio.gather(*deliveries), strict=True):
            result.sent[sent.partition, delivered.offset] = sent


async def add_to_batch(producer: AIOKafkaProducer, sent: Sent) -> asyncio.Future[Any]:
    if sent.key is None and sent.value is None:
        # ``send`` of aiokafka refuses a message without key and value. Other producers do not.
        batch = producer.create_batch()
        batch.append(timestamp=None, key=None, value=None)
        return await producer.send_batch(batch, RECORDS, partition=sent.partition)
    return await producer.send(RECORDS, sent.value, key=sent.key, partition=sent.partition)


async def run(folder: Path, messages: list[Sent], last: list[Sent]) -> RunResult:
    """Send the messages to a live worker with its own broker, and then a last message to each partition."""
    result, configuration = RunResult(), CONFIGURATION
    async with Topology(
        configuration, data_folder=folder, port=0, steps=("detect",), on_line=result.lines.append
    ) as topology:
        for batch in (messages, last):
            await send(topology.cluster, batch, result)
            await wait_for_lag(topology.cluster, configuration.kafka.app_id, steps=("detect",))
        result.letters = await dead_letters(topology.cluster)
        result.steps = await restored(topology.cluster, configuration)
        result.restarts = sum(worker.restarts for worker in topology.workers)
        await topology.stop()
    return result


def state_of_good_records(step: DetectStep) -> dict[str, Any]:
    """Return the state of the good records of one partition, after its buffer is flushed."""
    stream = step.streams[GOOD_SUBJECT]
    stream.flush()
    return {
        "counts": dict(stream.counts),
        "watermark": stream.watermark,
        "columns": stream.columns.dump(),
        "statistics": stream.statistics.snapshot(),
    }


def describe_result(kind: HostileKind, letters: list[DeadLetter]) -> str:
    if letters:
        counts = Counter(letter.reason for letter in letters)
        return "dead letter " + ", ".join(
            f"{reason} x{count}" if count > 1 else reason for reason, count in counts.items()
        )
    dropped = ", ".join(f"{name} ({reason})" for name, reason in kind.dropped)
    return f"used without {dropped}" if dropped else {"used": "used", "nothing": "nothing to use"}[kind.expected]


def print_table(rows: list[tuple[str, str]], totals: Counter[str]) -> None:
    print(f"\n{'kind':<42} result")
    for name, text in rows:
        print(f"{name:<42} {text}")
    print(", ".join(f"{count:,} {name}" for name, count in sorted(totals.items())))


def check_letter(letter: DeadLetter, sent: Sent) -> None:
    assert (None if letter.key_base64 is None else b64decode(letter.key_base64)) == sent.key
    value = None if letter.value_base64 is None else b64decode(letter.value_base64)
    if letter.index is None:
        assert value == sent.value
    else:
        assert value == split_array(sent.value or b"")[letter.index]


def check_kinds(result: RunResult) -> list[tuple[str, str]]:
    """Check that every message has the dead letters of its kind, in full. Return the rows of the table."""
    letters_by_offset: dict[tuple[int, int], list[DeadLetter]] = {}
    for letter in result.letters:
        letters_by_offset.setdefault((letter.partition, letter.offset), []).append(letter)
    assert set(letters_by_offset) <= set(result.sent)
    rows = {}
    for offset, sent in result.sent.items():
        letters = letters_by_offset.get(offset, [])
        for letter in letters:
            check_letter(letter, sent)
        if sent.kind is None:
            assert {letter.reason for letter in letters} <= {"subject_limit"}
            continue
        assert len(letters) == sent.kind.letters, sent.kind.name
        if sent.kind.expected not in ("used", "nothing"):
            assert {letter.reason for letter in letters} == {sent.kind.expected}, sent.kind.name
        rows[sent.kind.name] = describe_result(sent.kind, letters)
    return list(rows.items())


async def test_bad_messages_change_nothing_for_the_good_ones(tmp_path: Path) -> None:
    now_ms = int(time.time() * 1000)
    bad = bad_messages(now_ms)
    good = good_records(len(bad) + PARTITIONS, now_ms)
    good, last = good[: len(bad)], good[len(bad) :]
    mixed = [message for pair in zip(good, bad, strict=True) for message in pair]

    alone_result = await run(tmp_path / "alone", good, last)
    mixed_result = await run(tmp_path / "mixed", mixed, last)

    totals: Counter[str] = Counter()
    for step in mixed_result.steps:
        totals.update(step.counts())
    print_table(check_kinds(mixed_result), totals)
    assert alone_result.letters == []
    assert [state_of_good_records(step) for step in mixed_result.steps] == [
        state_of_good_records(step) for step in alone_result.steps
    ]
    assert sum(step.streams[GOOD_SUBJECT].counts["used"] for step in mixed_result.steps) == len(good) + len(last)

    records = [sent.kind.records if sent.kind else 1 for sent in mixed_result.sent.values()]
    assert totals["messages"] == len(mixed) + len(last)
    assert totals["records"] == sum(records) == totals["used"] + totals["dead_letters"]
    assert (
        totals["dead_letters"]
        == len(mixed_result.letters)
        == len({letter.dead_letter_id for letter in mixed_result.letters})
    )

    limit = CONFIGURATION.detect.subjects_max
    beyond = [letter for letter in mixed_result.letters if letter.reason == "subject_limit"]
    assert [len(step.streams) for step in mixed_result.steps] == [limit] * PARTITIONS
    assert len(beyond) == SUBJECTS - PARTITIONS * (limit - len({GOOD_SUBJECT, SUBJECT}))

    dropped: set[tuple[str, str]] = set()
    for step in mixed_result.steps:
        step.streams[SUBJECT].flush()
        dropped |= set(step.streams[SUBJECT].columns.bad_fields)
    assert dropped == {pair for sent in bad if sent.kind for pair in sent.kind.dropped}

    for result in (alone_result, mixed_result):
        assert result.restarts == 0
        assert find_trouble("\n".join(result.lines)) == []


async def test_a_message_above_the_limit_of_the_topic_is_refused_by_the_broker(broker) -> None:
    value = bytes(TOPIC_BYTES_MAX + 1)
    refusal = f"did not accept the message for driftwire.records: its {TOPIC_BYTES_MAX + 1} bytes exceed the limit of the topic"
    with pytest.raises(WriteRefused, match=re.escape(refusal)):
        await write_message(broker.cluster, RECORDS, None, value)
    async with AIOKafkaProducer(**broker.cluster.client_options(), max_request_size=2 * TOPIC_BYTES_MAX) as producer:
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(RECORDS, value)
