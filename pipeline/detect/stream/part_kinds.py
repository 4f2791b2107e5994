"""The kinds of parts of a stream's state, and the settings on which each kind depends."""

from pipeline.detect.admission import Duplicates
from pipeline.detect.baselines import Learner
from pipeline.detect.blocks import OutcomeLabels
from pipeline.detect.monitor import Monitor
from pipeline.detect.statistics import Statistics
from pipeline.state import PartKind

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
