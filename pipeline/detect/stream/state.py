"""A unit's state as parts: each under a key of its own, written only when it may have changed."""

from collections.abc import Iterator
from typing import Any

from pipeline.codec import encode
from pipeline.detect.stream.parts import Written
from pipeline.detect.stream.stream import Stream

UNIT, ROWS, HELD, JUDGE, STATISTICS = "unit", "rows", "held", "judge", "statistics"
LEARNER, RELEARNER, DUPLICATES = "learner", "relearner", "duplicates"
"""The parts; of the last three there are many, as ``learner/NAME``."""


def part_kind(part: str) -> str:
    """What a part is of, whichever of many it is.

    >>> kind_of("learner/head")
    'learner'
    """
    return part.partition("/")[0]


def changed_parts(unit: Stream, written: Written, settings_hash: str) -> Iterator[tuple[bytes, bytes | None]]:
    """The messages that bring a unit's checkpoint up to its state; ``written`` is brought up too."""
    if not unit.changed:
        return
    for part, state in _changed(unit):
        yield from written.put(part, encode(state, kind=part_kind(part), settings_hash=settings_hash))
    for part in [part for part in written.chunks if _is_gone(unit, part)]:
        yield from written.drop(part)
    unit.changed = unit.flushed = False


def _changed(unit: Stream) -> Iterator[tuple[str, dict[str, Any]]]:
    yield UNIT, _dump_unit(unit)
    if len(unit.buffer):
        yield ROWS, unit.buffer.records.dump()
    if unit.event_time_guard.held_count:
        yield HELD, unit.event_time_guard.dump()
    for name, chunk in unit.duplicates.dump_changed():
        yield f"{DUPLICATES}/{name}", chunk
    if not unit.flushed:
        return
    yield STATISTICS, unit.statistics.dump()
    if unit.monitor is not None:
        yield JUDGE, unit.monitor.dump()
    if unit.learner is not None:
        for name, state in unit.learner.dump_parts().items():
            yield f"{LEARNER}/{name}", state
    if unit.relearning is not None:
        for name, state in unit.relearning.learner.dump_parts().items():
            yield f"{RELEARNER}/{name}", state


def _is_gone(unit: Stream, part: str) -> bool:
    gone = {
        ROWS: not len(unit.buffer),
        HELD: not unit.event_time_guard.held_count,
        JUDGE: unit.monitor is None,
        LEARNER: unit.learner is None,
        RELEARNER: unit.relearning is None,
    }
    return gone.get(part_kind(part), False)


def _dump_unit(unit: Stream) -> dict[str, Any]:
    return {
        "watermark": unit.watermark,
        "counts": dict(sorted(unit.counts.items())),
        "columns": unit.columns.dump(),
        "derived": unit.derived.dump(),
        "first_seen": unit.first_seen.dump(),
        "silence": unit.silence.dump(),
        "last_pane": unit.last_pane,
        "heard_ms": unit.heard_ms,
        "baseline_version": unit.baseline_version,
        "offered": unit.offered,
        "relearning": None if unit.relearning is None else unit.relearning.dump(),
        "pending": [baseline.baseline_version for baseline in unit.pending],
        "seen_before": unit.judged_before.seen,
        "judged_before": unit.judged_before.monitored,
    }
