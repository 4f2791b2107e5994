"""Harness that starts a temporary topology, waits until it has read all input, and collects its output.

This package may not import any other package of load.
"""

from load.harness.connection import check_topics
from load.harness.lag import committed_offsets, wait_for_lag
from load.harness.outcome import Outcome
from load.harness.progress import progress_bar
from load.harness.topology import run_against, temporary_topology

__all__ = [
    "Outcome",
    "check_topics",
    "committed_offsets",
    "progress_bar",
    "run_against",
    "temporary_topology",
    "wait_for_lag",
]
