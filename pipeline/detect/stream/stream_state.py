"""The state of a stream: its kinds of parts, the settings on which each kind depends, and the main part."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.detect.admission import Duplicates
from pipeline.detect.baselines import Learner
from pipeline.detect.blocks import OutcomeLabels
from pipeline.detect.monitor import Monitor
from pipeline.detect.statistics import Statistics
from pipeline.detect.stream.monitored_count import MonitoredCount
from pipeline.state import Part, PartKind, State

if TYPE_CHECKING:
    from pipeline.detect.stream.stream import Stream

STREAM_KINDS = (
    PartKind("stream"),
    PartKind("rows"),
    PartKind("held"),
    PartKind("duplicates", Duplicates.SETTINGS, since=2),
    PartKind("outcomes", OutcomeLabels.SETTINGS, since=7),
    PartKind("statistics", Statistics.SETTINGS),
    PartKind("monitor", since=2),
    PartKind("evidence", Monitor.EVIDENCE_SETTINGS, since=2),
    PartKind("adwin", Monitor.ADWIN_SETTINGS, since=2),
    PartKind("history", since=9),
    PartKind("learner", Learner.SETTINGS),
    PartKind("relearner", Learner.SETTINGS),
)
"""Kinds of the parts that a stream writes to a checkpoint. Learners, duplicates, outcomes and the history have
several parts.

A kind without settings contains facts: counts, records, open drifts. It remains valid when settings change, and the new
values apply after a restart. If a kind has settings, its parts contain results that were computed with them.
"""


def dump_changed_parts(stream: "Stream") -> Iterator[tuple[Part, State | None]]:
    """Yield the parts that may have changed since the last call, with None for parts that are now empty."""
    subject = stream.subject
    for kind in sorted(stream.discarded_kinds):
        yield Part(kind, subject), None
    yield Part("stream", subject), dump_main_part(stream)
    yield Part("rows", subject), stream.buffer.records.dump() if len(stream.buffer) else None
    yield Part("held", subject), stream.event_time_guard.dump() if stream.event_time_guard.held_count else None
    yield from _dump_items(stream)
    if stream.evidence_changed:
        yield Part("statistics", subject), stream.statistics.dump()
        if stream.monitor is not None:
            for kind, state in stream.monitor.dump().items():
                yield Part(kind, subject), state


def _dump_items(stream: "Stream") -> Iterator[tuple[Part, State | None]]:
    """Yield the changed parts of the kinds with several parts."""
    subject = stream.subject
    for kind, window in (("duplicates", stream.duplicates), ("outcomes", stream.outcome_labels)):
        for slot, chunk in window.dump_changed():
            yield Part(kind, subject, slot), chunk
    for item, day in stream.history.dump_changed():
        yield Part("history", subject, item), day
    relearner = None if stream.relearning is None else stream.relearning.learner
    for kind, learner in (("learner", stream.learner), ("relearner", relearner)):
        if learner is None:
            yield Part(kind, subject), None
        elif stream.evidence_changed:
            for item, state in learner.dump_parts().items():
                yield Part(kind, subject, item), state


def dump_main_part(stream: "Stream") -> State:
    """Return the state of the part ``stream``. It refers to baselines by version; the restorer looks them up."""
    return {
        "watermark": stream.watermark,
        "partition_ms": stream.partition_ms,
        "last_pane": stream.last_pane,
        "counts": dict(sorted(stream.counts.items())),
        "seen_before": stream.monitored_before.seen,
        "monitored_before": stream.monitored_before.monitored,
        "columns": stream.columns.dump(),
        "derived": stream.derived.dump(),
        "last_outcome_pane": stream.outcome_labels.last_outcome_pane,
        "first_seen": stream.first_seen.dump(),
        "silence": stream.silence.dump(),
        "losses": stream.losses.dump(),
        "request_loss": stream.request_loss.dump(),
        "fixed_limits": stream.fixed_limits.dump(),
        "request_hours": stream.request_hours.dump(),
        "sampled": stream.sampling.dump(),
        "last_offered_version": stream.last_offered_version,
        "baseline_version": stream.baseline_version,
        "pending_versions": [baseline.baseline_version for baseline in stream.pending_baselines],
        "relearning": None if stream.relearning is None else stream.relearning.dump(),
        "applied_relearns": list(stream.applied_relearns),
    }


def load_main_part(stream: "Stream", state: State) -> None:
    """Restore the state that :func:`dump_main_part` returned, except for the references to baselines."""
    stream.watermark, stream.partition_ms = state["watermark"], state["partition_ms"]
    stream.last_pane = state["last_pane"]
    stream.counts.update(state["counts"])
    stream.monitored_before = MonitoredCount(state["seen_before"], state["monitored_before"])
    stream.columns.load(state["columns"])
    stream.derived.load(state["derived"])
    # Checkpoints of earlier versions do not contain it.
    stream.outcome_labels.last_outcome_pane = state.get("last_outcome_pane")
    stream.first_seen.load(state["first_seen"])
    stream.silence.load(state["silence"])
    stream.losses.load(state.get("losses"))
    stream.request_loss.load(state.get("request_loss"))
    stream.fixed_limits.load(state.get("fixed_limits"))
    stream.request_hours.load(state.get("request_hours"))
    stream.sampling.load(state.get("sampled"))
    stream.last_offered_version = state["last_offered_version"]
    stream.applied_relearns = list(state.get("applied_relearns", ()))
