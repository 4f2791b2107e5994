"""From crossings to what is published: findings, latches, series, sentences, and the drift message.

May import layout, one-sided tests, baselines and signals.
"""

from pipeline.detect.findings.effect import effect_size
from pipeline.detect.findings.finding import Finding
from pipeline.detect.findings.first_seen import FirstSeen
from pipeline.detect.findings.latch import Latch
from pipeline.detect.findings.message import read_drift, drift_output, read_drifts
from pipeline.detect.findings.recent_values import RecentValues
from pipeline.detect.findings.sentence import percent
from pipeline.detect.findings.series import MinuteSeries
from pipeline.detect.findings.silence import Silence, silence_threshold_s
from pipeline.detect.findings.statement import build_end, segment_name, build_finding, value_at_rank

__all__ = [
    "Finding",
    "FirstSeen",
    "Latch",
    "MinuteSeries",
    "RecentValues",
    "Silence",
    "read_drift",
    "drift_output",
    "read_drifts",
    "effect_size",
    "build_end",
    "percent",
    "segment_name",
    "silence_threshold_s",
    "build_finding",
    "value_at_rank",
]
