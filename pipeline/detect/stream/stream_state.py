"""The state of a stream: its kinds of parts, the settings on which each kind depends, and the main part."""

from typing import TYPE_CHECKING

from pipeline.detect.admission import Duplicates
from pipeline.detect.baselines import Learner
from pipeline.detect.blocks import OutcomeLabels
from pipeline.detect.monitor import Monitor
from pipeline.detect.statistics import Statistics
from pipeline.detect.stream.monitored_count import MonitoredCount
from pipeline.state import PartKind, State

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
    PartKind("learner", Learner.SETTINGS),
    PartKind("relearner", Learner.SETTINGS),
)
"""Kinds of the parts that a stream writes to a checkpoint. Learners, duplicates and outcomes have
several parts.

A kind without settings contains facts: counts, records, open drifts. It remains valid when settings change, and the new
values apply after a restart. If a kind has settings, its parts contain results that were computed with them.
"""


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
        "sampled": stream.sampling.dump(),
        "last_offered_version": stream.last_offered_version,
        "baseline_version": stream.baseline_version,
        "pending_versions": [baseline.baseline_version for baseline in stream.pending_baselines],
        "relearning": None if stream.relearning is None else stream.relearning.dump(),
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
    stream.sampling.load(state.get("sampled"))
    stream.last_offered_version = state["last_offered_version"]
