"""The messages of a run, drawn from a seed: records of several subjects with failures, deployments, poison, duplicates.

The undisturbed and the disturbed run get the same messages, in the same partitions and in the same order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from load.chaos.schedule import PlannedFault
from load.world import SimulatedFailure, World, healthy_baseline, json_lines
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline
from schemas.deployment import Deployment
from schemas.timestamp import format_timestamp

PARTITIONS = 4
START_MS = 1_795_500_000_000
RECORDS_PER_SECOND = 25.0
CYCLE_S = 240
"""Event time of a cycle, in seconds. The failures recur in each cycle."""

FAILURES = ("refusal_spike", "empty_output", "latency_degradation", "pii_exposure", None)
"""Failure mode by subject. One subject has none."""

FAILURE_MS = 80_000
"""Duration of each failure. The failures start one after another, so alerts change throughout the run."""

POISON_COUNT = 4
"""Number of unusable messages that one fault sends, one per partition."""

DUPLICATES_MAX = 60
"""Maximum number of records that one fault resends."""


POISON_SUBJECT = "poison-bot"
"""Subject of the unusable records whose subject is valid."""

BOMB_BYTES = 14 * 1024 * 1024
"""Unpacked size of the gzip bomb, in bytes. Its dead letter would exceed the limit of the topic."""

GZIP_BOMB = "gzip bomb"


def _poison_record(now_ms: int, tail: str) -> bytes:
    return orjson.dumps({"subject": POISON_SUBJECT, "timestamp": format_timestamp(now_ms)})[:-1] + tail.encode() + b"}"


def _with_time(value: object) -> bytes:
    return orjson.dumps({"subject": POISON_SUBJECT, "timestamp": value})


POISON: dict[str, Callable[[int], bytes | None]] = {
    "tombstone": lambda _: None,
    "no bytes": lambda _: b"",
    "not JSON": lambda _: b"subject=bot latency=12",
    "half a record": lambda now_ms: _poison_record(now_ms, "")[:-9],
    "not UTF-8": lambda _: b'{"subject":"\xff\xfe"}',
    "nested 100,000 deep": lambda now_ms: _poison_record(now_ms, ',"note":' + "[" * 100_000 + "]" * 100_000),
    "a number": lambda _: b"42",
    "a bad element in an array": lambda now_ms: b"[" + _poison_record(now_ms, "") + b",5,null]",
    "too large": lambda _: b'{"subject":"' + b"x" * (3 * 1024 * 1024) + b'"}',
    "no subject": lambda now_ms: orjson.dumps({"timestamp": now_ms}),
    "a control character in the subject": lambda now_ms: orjson.dumps({"subject": "a\nb", "timestamp": now_ms}),
    "no time": lambda _: orjson.dumps({"subject": POISON_SUBJECT}),
    "a time in 1970": lambda _: _with_time("1970-01-01T00:00:01Z"),
    "the 30th of February": lambda _: _with_time("2026-02-30T03:12:00.123Z"),
    "a list as time": lambda now_ms: _with_time([now_ms]),
    GZIP_BOMB: lambda _: b" " * BOMB_BYTES,
}
"""For each kind, the function that returns the value of a message at an event time (Unix ms)."""

FURTHER_POISON: dict[str, Callable[[int], bytes | None]] = {
    "NaN": lambda now_ms: _poison_record(now_ms, ',"output":{"length":NaN}'),
    "Infinity": lambda now_ms: _poison_record(now_ms, ',"output":{"length":Infinity}'),
    "a lone surrogate": lambda now_ms: _poison_record(now_ms, ',"environment":"\\ud800"'),
    "a number as text": lambda now_ms: _poison_record(now_ms, ',"output":{"length":"911"}'),
    "a time in 2200": lambda _: _with_time(7_258_118_400_000),
}
"""Messages that may be used in part. They accompany the messages of :data:`POISON`, and must not cause a dead
letter."""


@dataclass(frozen=True, slots=True)
class WorkloadMessage:
    """Message for ``driftwire.records``.

    Attributes
    ----------
    partition, value
        Partition and bytes. A tombstone has the value None.
    fault
        Position in the schedule of the fault to which the message belongs. None for the ordinary records.
    is_compressed
        Whether the producer compresses the message with gzip.
    """

    partition: int
    value: bytes | None
    fault: int | None = None
    is_compressed: bool = False

    @property
    def records(self) -> int:
        """Number of records in the message. A value that cannot be decoded counts as one record."""
        try:
            content = orjson.loads(self.value or b"")
        except orjson.JSONDecodeError:
            return 1
        return len(content) if isinstance(content, list) else 1


@dataclass(frozen=True, slots=True)
class Workload:
    """Messages, baselines and deployments of a run."""

    messages: Sequence[WorkloadMessage]
    baselines: Sequence[Baseline]
    deployments: Sequence[Deployment]


def build_workload(
    seed: int, settings: DetectSettings, faults: Sequence[PlannedFault], run_s: float, *, cycles: int = 1
) -> Workload:
    """Return the messages, baselines and deployments for a seed.

    Parameters
    ----------
    seed, faults, run_s, cycles
        As in :func:`build_messages`.
    settings
        Settings with which the baselines are learned.
    """
    healthy = healthy_baseline(seed, START_MS, RECORDS_PER_SECOND, settings)
    baselines = [healthy.model_copy(update={"subject": _subject(number)}) for number in range(len(FAILURES))]
    return Workload(build_messages(seed, faults, run_s, cycles=cycles), baselines, _deployments(cycles))


def build_messages(
    seed: int, faults: Sequence[PlannedFault], run_s: float, *, cycles: int = 1
) -> list[WorkloadMessage]:
    """Return the messages of a seed.

    Parameters
    ----------
    seed
        Seed of the simulated services.
    faults
        The schedule. The faults ``poison`` and ``duplicates`` add their messages at the corresponding point of the run.
    run_s
        Seconds over which the messages are sent.
    cycles
        Number of cycles of :data:`CYCLE_S`. Each subject fails once per cycle.
    """
    records = _record_stream(seed, cycles)
    additions: dict[int, list[WorkloadMessage]] = {}
    for number, fault in enumerate(faults):
        position = min(int(fault.at_s / run_s * len(records)), len(records) - 1)
        if fault.kind == "poison":
            additions.setdefault(position, []).extend(_poison(fault, number))
        elif fault.kind == "duplicates":
            count = fault.random().randint(10, DUPLICATES_MAX)
            earlier = records[max(0, position - count) : position]
            additions.setdefault(position, []).extend(
                WorkloadMessage(message.partition, message.value, number) for message in earlier
            )
    messages: list[WorkloadMessage] = []
    for position, message in enumerate(records):
        messages += additions.get(position, [])
        messages.append(message)
    return messages


def _record_stream(seed: int, cycles: int) -> list[WorkloadMessage]:
    """Return the records of all subjects in order of time. Failures start and end at different times."""
    records: list[tuple[int, int, bytes]] = []
    for number, failure in enumerate(FAILURES):
        starts_ms = [_failure_start_ms(number, cycle) for cycle in range(cycles)]
        failures = (
            tuple(SimulatedFailure(failure, at_ms=at_ms, until_ms=at_ms + FAILURE_MS) for at_ms in starts_ms)
            if failure
            else ()
        )
        world = World(seed, START_MS, RECORDS_PER_SECOND, failures, noise_seed=seed + number)
        for columns in world.generate(until_ms=START_MS + cycles * CYCLE_S * 1000):
            lines = json_lines(columns, subject=_subject(number), seed=seed)
            records += [(int(at), number % PARTITIONS, line) for at, line in zip(columns.times_ms, lines, strict=True)]
    records.sort(key=lambda record: record[0])
    return [WorkloadMessage(partition, line) for _, partition, line in records]


def _poison(fault: PlannedFault, number: int) -> list[WorkloadMessage]:
    generator = fault.random()
    kind = generator.choice(sorted(POISON))
    further = generator.choice(sorted(FURTHER_POISON))
    partitions = range(1) if kind == GZIP_BOMB else range(POISON_COUNT)
    return [
        *(
            WorkloadMessage(partition, POISON[kind](START_MS), number, is_compressed=kind == GZIP_BOMB)
            for partition in partitions
        ),
        WorkloadMessage(generator.randrange(PARTITIONS), FURTHER_POISON[further](START_MS), number),
    ]


def _deployments(cycles: int) -> list[Deployment]:
    """Return a deployment ten seconds before each failure, and one that affects all subjects."""
    per_subject = [
        Deployment(
            deployment_id=f"prompt-{number}-{cycle}",
            timestamp=_failure_start_ms(number, cycle) - 10_000,
            kind="prompt",
            subject=_subject(number),
            from_version="v41",
            to_version="v42",
        )
        for cycle in range(cycles)
        for number in range(len(FAILURES))
    ]
    shared = Deployment(
        deployment_id="gateway", timestamp=START_MS + 120_000, kind="config", name="gateway", environment="production"
    )
    return [*per_subject, shared]


def _subject(number: int) -> str:
    return f"bot-{number}"


def _failure_start_ms(number: int, cycle: int) -> int:
    return START_MS + cycle * CYCLE_S * 1000 + 30_000 + 40_000 * number
