"""Hostile input on real Kafka: every kind, one bad message to each good one, through the real detect worker.

The same good records go through two brokers: alone on one, among the bad ones on the other. They must leave the same
state behind. Run it with ``-s`` to see what became of each kind.
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

from load.stage.settle import wait_until_settled
from pipeline.detect.intake.originals import split_array
from pipeline.detect.step import DetectStep
from schemas.dead_letter import DeadLetter
from schemas.topics import RECORDS, topic
from tests.detect_state import dead_letters, restored
from tests.hostile import SUBJECT, SUBJECTS, Kind, kinds, many_subjects
from tests.pipeline.detect.streams import as_json, record
from topologies.configuration.configuration import Configuration
from topologies.kafka.client import WriteRefused, write
from topologies.processes.topology import Topology

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

SEED = 7
GOOD = "good-bot"
PARTITIONS = 4
INTERVAL_MS = 10
TOPIC_BYTES_MAX = topic(RECORDS).message_bytes_max
ENVELOPE_BYTES = 512
"""Of a message of the largest size, what Kafka needs for itself."""

TROUBLE = ("Traceback", " ERROR ", " CRITICAL ", " WARNING driftwire")
"""In no line that the worker says. What the Kafka client warns of and tries again is not of our input."""


@dataclass(frozen=True)
class Sent:
    """One message as it is sent; ``kind`` is None for a good one, and a subject of the crowd has no row either."""

    partition: int
    key: bytes | None
    value: bytes | None
    kind: Kind | None = None


@dataclass
class Left:
    """What a run left behind: the bad messages by place, what the worker said, and the state it wrote."""

    places: dict[tuple[int, int], Sent] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    steps: list[DetectStep] = field(default_factory=list)
    restarts: int = -1


def good_records(count: int, now_ms: int) -> list[Sent]:
    """Of one subject, over all partitions; some have a field that is dropped."""
    chance = Random(SEED)
    begin_ms = now_ms - count * INTERVAL_MS
    values = [as_json(record(chance, number, begin_ms + number * INTERVAL_MS, GOOD)) for number in range(count)]
    return [Sent(number % PARTITIONS, b"%s#%d" % (GOOD.encode(), number), value) for number, value in enumerate(values)]


def bad_messages(now_ms: int) -> list[Sent]:
    """Every kind into every partition, under keys that are no text either; then the crowd of subjects."""
    table = [*kinds(now_ms), largest()]
    each = [
        Sent((number + turn) % PARTITIONS, (None, b"", b"\xff\x00key", b"hostile")[turn], kind.value, kind)
        for turn in range(PARTITIONS)
        for number, kind in enumerate(table)
    ]
    crowd = [Sent(number % PARTITIONS, None, value) for number, value in enumerate(many_subjects(now_ms))]
    return each + crowd


def largest() -> Kind:
    return Kind(
        "the largest that the topic takes", b"\x00\xff" * ((TOPIC_BYTES_MAX - ENVELOPE_BYTES) // 2), "too_large"
    )


async def send(bootstrap: str, messages: list[Sent], left: Left) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, max_request_size=TOPIC_BYTES_MAX + ENVELOPE_BYTES
    ) as producer:
        sending = [await add(producer, sent) for sent in messages]
        for sent, taken in zip(messages, await asyncio.gather(*sending), strict=True):
            left.places[sent.partition, taken.offset] = sent


async def add(producer: AIOKafkaProducer, sent: Sent) -> asyncio.Future[Any]:
    if sent.key is None and sent.value is None:
        # aiokafka's ``send`` refuses a message of nothing at all; other producers do not.
        batch = producer.create_batch()
        batch.append(timestamp=None, key=None, value=None)
        return await producer.send_batch(batch, RECORDS, partition=sent.partition)
    return await producer.send(RECORDS, sent.value, key=sent.key, partition=sent.partition)


async def run(folder: Path, messages: list[Sent], last: list[Sent]) -> Left:
    """Give the messages to a live worker on a broker of its own, and then a last one to each partition."""
    left, configuration = Left(), Configuration()
    async with Topology(configuration, data=folder, port=0, workers=("detect",), say=left.said.append) as topology:
        for part in (messages, last):
            await send(topology.bootstrap, part, left)
            await wait_until_settled(topology.bootstrap, configuration.kafka.app_id, steps=("detect",))
        left.letters = await dead_letters(topology.bootstrap)
        left.steps = await restored(topology.bootstrap, configuration)
        left.restarts = sum(worker.restarts for worker in topology.workers)
        await topology.stop()
    return left


def state_of_the_good(step: DetectStep) -> dict[str, Any]:
    """All that is known of the good records of one partition, the buffered ones looked at."""
    unit = step.streams[GOOD]
    unit.flush()
    return {
        "counts": dict(unit.counts),
        "watermark": unit.watermark,
        "columns": unit.columns.dump(),
        "statistics": unit.statistics.snapshot(),
    }


def became(kind: Kind, letters: list[DeadLetter]) -> str:
    if letters:
        counts = Counter(letter.reason for letter in letters)
        return "dead letter " + ", ".join(
            f"{reason} x{count}" if count > 1 else reason for reason, count in counts.items()
        )
    dropped = ", ".join(f"{name} ({reason})" for name, reason in kind.dropped)
    return f"used without {dropped}" if dropped else {"used": "used", "nothing": "nothing to use"}[kind.expected]


def show(rows: list[tuple[str, str]], totals: Counter[str]) -> None:
    print(f"\n{'kind':<42} what became of it")
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


def check_kinds(left: Left) -> list[tuple[str, str]]:
    """Each message's dead letters are those of its kind, whole; gives the table's rows."""
    by_place: dict[tuple[int, int], list[DeadLetter]] = {}
    for letter in left.letters:
        by_place.setdefault((letter.partition, letter.offset), []).append(letter)
    assert set(by_place) <= set(left.places)
    rows = {}
    for place, sent in left.places.items():
        letters = by_place.get(place, [])
        for letter in letters:
            check_letter(letter, sent)
        if sent.kind is None:
            assert {letter.reason for letter in letters} <= {"subject_limit"}
            continue
        assert len(letters) == sent.kind.letters, sent.kind.name
        if sent.kind.expected not in ("used", "nothing"):
            assert {letter.reason for letter in letters} == {sent.kind.expected}, sent.kind.name
        rows[sent.kind.name] = became(sent.kind, letters)
    return list(rows.items())


async def test_bad_messages_one_to_one_among_good_ones_change_nothing_for_the_good(tmp_path: Path) -> None:
    now_ms = int(time.time() * 1000)
    bad = bad_messages(now_ms)
    good = good_records(len(bad) + PARTITIONS, now_ms)
    good, last = good[: len(bad)], good[len(bad) :]
    mixed = [message for pair in zip(good, bad, strict=True) for message in pair]

    alone = await run(tmp_path / "alone", good, last)
    among = await run(tmp_path / "among", mixed, last)

    totals: Counter[str] = Counter()
    for step in among.steps:
        totals.update(step.counts())
    show(check_kinds(among), totals)
    assert alone.letters == []
    assert [state_of_the_good(step) for step in among.steps] == [state_of_the_good(step) for step in alone.steps]
    assert sum(step.streams[GOOD].counts["used"] for step in among.steps) == len(good) + len(last)

    records = [sent.kind.records if sent.kind else 1 for sent in among.places.values()]
    assert totals["messages"] == len(mixed) + len(last)
    assert totals["records"] == sum(records) == totals["used"] + totals["dead_letters"]
    assert totals["dead_letters"] == len(among.letters) == len({letter.dead_letter_id for letter in among.letters})

    limit = Configuration().detect.subjects_max
    beyond = [letter for letter in among.letters if letter.reason == "subject_limit"]
    assert [len(step.streams) for step in among.steps] == [limit] * PARTITIONS
    assert len(beyond) == SUBJECTS - PARTITIONS * (limit - len({GOOD, SUBJECT}))

    dropped: set[tuple[str, str]] = set()
    for step in among.steps:
        step.streams[SUBJECT].flush()
        dropped |= set(step.streams[SUBJECT].columns.bad_fields)
    assert dropped == {pair for sent in bad if sent.kind for pair in sent.kind.dropped}

    for left in (alone, among):
        assert left.restarts == 0
        assert not [line for line in left.said if any(mark in line for mark in TROUBLE)]


async def test_what_is_larger_than_the_topic_takes_is_refused_where_it_is_sent(broker) -> None:
    value = bytes(TOPIC_BYTES_MAX + 1)
    refusal = (
        f"did not take the message for driftwire.records: its {TOPIC_BYTES_MAX + 1} bytes are more than the topic takes"
    )
    with pytest.raises(WriteRefused, match=re.escape(refusal)):
        await write(broker.bootstrap, RECORDS, None, value)
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, max_request_size=2 * TOPIC_BYTES_MAX) as producer:
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(RECORDS, value)
