"""Measurements of the detect step: its records, its streams by state, and the reasons of bad fields."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Literal, get_args

from pipeline.detect.stream import Stream
from pipeline.step import Measurement

StreamState = Literal["learning", "monitored", "relearning", "silent"]
"""What a stream does. A relearning stream is monitored except for the signals that it relearns."""

OUTCOMES = ("used", "duplicates", "late", "dead_letters")
"""Counts of records that become measurements."""


def measure_streams(streams: Collection[Stream], counts: Mapping[str, int]) -> Iterator[Measurement]:
    """Yield the measurements of the streams of a partition.

    Parameters
    ----------
    streams
        The streams.
    counts
        Counts of records, by outcome.
    """
    for outcome in OUTCOMES:
        yield Measurement("driftwire_records_total", counts[outcome], (outcome,))
    yield Measurement("driftwire_held_records", counts["held"])
    bad_fields: Counter[str] = Counter()
    for stream in streams:
        for (_, reason), count in stream.columns.bad_fields.items():
            bad_fields[reason] += count
    for reason, count in bad_fields.items():
        yield Measurement("driftwire_bad_fields_total", count, (reason,))
    states = Counter(stream_state(stream) for stream in streams)
    for state in get_args(StreamState):
        yield Measurement("driftwire_streams", states[state], (state,))


def stream_state(stream: Stream) -> StreamState:
    """Return what a stream does."""
    if stream.silence.since:
        return "silent"
    if stream.monitor is None:
        return "learning"
    return "monitored" if stream.relearning is None else "relearning"
