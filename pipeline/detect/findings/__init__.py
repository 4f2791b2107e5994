"""From crossings to what is published: findings, latches, series, sentences, and the drift message.

May import layout, one-sided tests, baselines and signals.
"""

from pipeline.detect.findings.effect import effect_of
from pipeline.detect.findings.finding import Finding
from pipeline.detect.findings.first_seen import FirstSeen
from pipeline.detect.findings.latch import Latch
from pipeline.detect.findings.message import drift_of, drift_output, drifts_of
from pipeline.detect.findings.recent_values import Recent
from pipeline.detect.findings.series import Minutes
from pipeline.detect.findings.silence import Silence, silent_after_s
from pipeline.detect.findings.statement import ended, segment_name, statement, value_at

__all__ = [
    "Finding",
    "FirstSeen",
    "Latch",
    "Minutes",
    "Recent",
    "Silence",
    "drift_of",
    "drift_output",
    "drifts_of",
    "effect_of",
    "ended",
    "segment_name",
    "silent_after_s",
    "statement",
    "value_at",
]
