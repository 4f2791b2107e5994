"""Findings, which turn crossings into published drifts: latches, series, first-seen labels and silences.

This package may import layout, one-sided tests, baselines and signals.
"""

from pipeline.detect.findings.baseline_values import value_at_rank
from pipeline.detect.findings.effect import effect_size
from pipeline.detect.findings.finding import Finding
from pipeline.detect.findings.first_seen import FirstSeen
from pipeline.detect.findings.latch import Latch
from pipeline.detect.findings.recent_values import RecentValues
from pipeline.detect.findings.series import MinuteSeries
from pipeline.detect.findings.silence import SilenceTracker

__all__ = [
    "Finding",
    "FirstSeen",
    "Latch",
    "MinuteSeries",
    "RecentValues",
    "SilenceTracker",
    "effect_size",
    "value_at_rank",
]
