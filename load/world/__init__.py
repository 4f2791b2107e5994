"""Simulated support bot: traffic, noise, failures, and a healthy baseline.

This package may not import any other package of load.
"""

from load.world import noise
from load.world.failure_table import FAILURES, SimulatedFailure
from load.world.healthy import healthy_baseline
from load.world.json_writer import SUBJECT, json_lines
from load.world.record_columns import RecordColumns
from load.world.world import World

__all__ = [
    "FAILURES",
    "SUBJECT",
    "RecordColumns",
    "SimulatedFailure",
    "World",
    "healthy_baseline",
    "json_lines",
    "noise",
]
