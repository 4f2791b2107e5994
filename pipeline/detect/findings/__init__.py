"""From crossings to what is published: findings, latches, series, sentences, and the drift message.

May import layout, one-sided tests, baselines and signals.
"""

from pipeline.detect.findings.effect import effect_size
from pipeline.detect.findings.finding import Finding
from pipeline.detect.findings.first_seen import FirstSeen
from pipeline.detect.findings.latch import Latch
from pipeline.detect.findings.message import drift_output, read_drift, read_drifts
from pipeline.detect.findings.recent_values import RecentValues
from pipeline.detect.findings.series import MinuteSeries
from pipeline.detect.findings.silence import Silence, silence_threshold_s
from pipeline.detect.findings.statement import build_end, build_finding, segment_name, value_at_rank

__all__ = [
    "Finding",
    "FirstSeen",
    "Latch",
    "MinuteSeries",
    "RecentValues",
    "Silence",
    "build_end",
    "build_end",
    "build_finding",
    "drift_output",
    "effect_size",
    "read_drift",
    "read_drifts",
    "segment_name",
    "silence_threshold_s",
    "value_at_rank",
]
