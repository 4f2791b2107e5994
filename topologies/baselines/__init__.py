"""Baselines for commands: reading, publishing, accepting, tables, explanations.

May import kafka.
"""

from topologies.baselines.baseline_table import baseline_table
from topologies.baselines.baselines import accept, frozen_of, known_of, publish, read_baseline, read_lines
from topologies.baselines.explanation import explanation, to_json

__all__ = [
    "accept",
    "baseline_table",
    "explanation",
    "frozen_of",
    "known_of",
    "publish",
    "read_baseline",
    "read_lines",
    "to_json",
]
