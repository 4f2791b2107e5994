"""The kinds of parts of a stream's state, with the settings on which each depends."""

from pipeline.detect.baselines import Learner
from pipeline.detect.intake import Duplicates
from pipeline.detect.monitor import Monitor
from pipeline.detect.statistics import Statistics
from pipeline.state import PartKind

STREAM_KINDS = (
    PartKind("stream"),
    PartKind("rows"),
    PartKind("held"),
    PartKind("duplicates", Duplicates.SETTINGS, since=2),
    PartKind("statistics", Statistics.SETTINGS),
    PartKind("monitor", since=2),
    PartKind("evidence", Monitor.EVIDENCE_SETTINGS, since=2),
    PartKind("adwin", Monitor.ADWIN_SETTINGS, since=2),
    PartKind("learner", Learner.SETTINGS),
    PartKind("relearner", Learner.SETTINGS),
)
"""Kinds of the parts that a stream writes to a checkpoint. Learners and duplicates have several parts.

A kind without settings contains what happened: counts, records, open drifts. Settings that its code reads apply from the
restart on. A kind with settings contains what was computed with these settings.
"""
