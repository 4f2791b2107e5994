"""Baselines for the commands: read, publish and relearn baselines, and render baselines and explanations as tables.

This package may import kafka.
"""

from topologies.baselines.baseline_table import render_baseline
from topologies.baselines.baselines import (
    publish_baseline,
    read_baseline_file,
    read_baseline_status,
    read_frozen_drifts,
    request_relearn,
)
from topologies.baselines.explanation import explanation_json, render_explanation

__all__ = [
    "explanation_json",
    "publish_baseline",
    "read_baseline_file",
    "read_baseline_status",
    "read_frozen_drifts",
    "render_baseline",
    "render_explanation",
    "request_relearn",
]
