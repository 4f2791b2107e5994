"""Measurements of the detect step: its records, its streams by state, and the reasons of bad fields."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal, get_args

from pipeline.detect.stream import Streams
from pipeline.step import Measurement

StreamState = Literal["learning", "monitored", "relearning", "silent"]
"""What a stream does. A relearning stream is monitored except for the signals that it relearns."""

OUTCOMES = ("used", "duplicates", "late", "dead_letters")
"""Counts of records that become measurements."""


def measure_streams(streams: Streams, partition_counts: Mapping[str, int]) -> Iterator[Measurement]:
    """Yield the measurements of the streams of a partition, without unpacking any of them.

    Parameters
    ----------
    streams
        The streams.
    partition_counts
        Counts of records that do not belong to a stream, by outcome.
    """
    counts: Counter[str] = Counter(partition_counts)
    bad_fields: Counter[str] = Counter()
    states: Counter[StreamState] = Counter()
    held = 0
    for stream in streams.live.values():
        stream.settle()
        counts.update(stream.counts)
        held += stream.event_time_guard.held_count
        for (_, reason), count in stream.columns.bad_fields.items():
            bad_fields[reason] += count
        is_monitored, is_relearning = stream.monitor is not None, stream.relearning is not None
        states[_state(stream.silence.since, is_monitored=is_monitored, is_relearning=is_relearning)] += 1
    for packed in streams.packed.values():
        counts.update(packed.counts)
        bad_fields.update(packed.bad_fields)
        is_monitored, is_relearning = packed.is_monitored, packed.is_relearning
        states[_state(packed.silence.since, is_monitored=is_monitored, is_relearning=is_relearning)] += 1
    for outcome in OUTCOMES:
        yield Measurement("driftwire_records_total", counts[outcome], (outcome,))
    yield Measurement("driftwire_held_records", held)
    for reason, count in sorted(bad_fields.items()):
        yield Measurement("driftwire_bad_fields_total", count, (reason,))
    for state in get_args(StreamState):
        yield Measurement("driftwire_streams", states[state], (state,))


def _state(silent_since: int, *, is_monitored: bool, is_relearning: bool) -> StreamState:
    if silent_since:
        return "silent"
    if not is_monitored:
        return "learning"
    return "relearning" if is_relearning else "monitored"
