"""Bytes of one stream of a detect step: ready, after a day of learning, and put away."""

import statistics
from collections.abc import Iterable, Sequence
from itertools import islice, takewhile

from load.bench.footprint.object_bytes import exclusive_bytes
from load.bench.measurement import SimulatedFleet
from load.traffic import OutgoingMessage
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.topics import BASELINES, RECORDS

STREAMS = 2
"""Number of streams, because what several streams share does not count."""

READY_RECORDS = 60
"""Records of each ready stream, one per second."""

LEARNING_S = 86_000
"""Seconds of learning, a little less than the day after which a baseline is ready."""

LEARNING_INTERVAL_S = 2.0
"""Average seconds between two records of a learning stream."""

BATCH = 500

IDLE_MS = 2 * 3_600_000
"""Milliseconds without a record after which all streams are put away."""


def measure_stream_bytes(seed: int, end_ms: int, *, learning_s: float = LEARNING_S) -> dict[str, float]:
    """Return the kB of a ready stream, of a learning stream, and of a stream that is put away.

    These are the bytes of the objects that belong to one stream only, as :func:`exclusive_bytes` counts them. Resident
    memory is larger by what the allocator cannot reuse.

    Parameters
    ----------
    seed
        Seed of the records.
    end_ms
        Time of the last record in Unix ms.
    learning_s
        Seconds of learning. Higher values show the largest size of a learner.
    """
    ready_fleet = _fleet(seed, READY_RECORDS, 1.0, end_ms)
    ready = DetectStep(0, ready_fleet.configuration.detect, replay=False)
    for number, message in enumerate(ready_fleet.baselines(ready_fleet.learn())):
        ready.control(RawMessage(BASELINES, 0, number, ready_fleet.start_ms, message.key, message.value))
    _read(ready, ready_fleet.messages(1))
    learning_fleet = _fleet(seed, round(learning_s / LEARNING_INTERVAL_S), LEARNING_INTERVAL_S, end_ms)
    learning = DetectStep(0, learning_fleet.configuration.detect, replay=False)
    until_ms = learning_fleet.start_ms + round(learning_s * 1000)
    _read(learning, takewhile(lambda message: message.time_ms < until_ms, learning_fleet.messages(1)))
    figures = {
        "ready_stream_kb": _median_kb(list(ready.streams.values())),
        "learning_stream_kb": _median_kb(list(learning.streams.values())),
    }
    ready.tick(end_ms)
    ready.tick(end_ms + IDLE_MS)
    return figures | {"packed_stream_kb": _median_kb(list(ready.packed_streams.values()))}


def _fleet(seed: int, records: int, interval_s: float, end_ms: int) -> SimulatedFleet:
    start_ms = end_ms - round(records * interval_s * 1000)
    return SimulatedFleet(seed, STREAMS, STREAMS / interval_s, STREAMS * records, start_ms, failing=0)


def _read(step: DetectStep, messages: Iterable[OutgoingMessage]) -> None:
    remaining, offset = iter(messages), 0
    while batch := list(islice(remaining, BATCH)):
        time_ms = batch[-1].time_ms
        step.step(
            [
                RawMessage(RECORDS, 0, offset + number, time_ms, message.key, message.value)
                for number, message in enumerate(batch)
            ]
        )
        offset += len(batch)
        # As after a checkpoint, nothing waits to be written.
        list(step.changed())


def _median_kb(streams: Sequence[object]) -> float:
    """Return the median of the bytes that only one stream refers to, in kB."""
    if len(streams) < STREAMS:
        raise ValueError(f"{len(streams)} of {STREAMS} streams are in this state: raise the seconds without a record")
    others = [[other for other in streams if other is not stream] for stream in streams]
    sizes = [exclusive_bytes(stream, *rest) for stream, rest in zip(streams, others, strict=True)]
    return round(statistics.median(sizes) / 1000, 1)
