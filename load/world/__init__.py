"""A simulated support bot: traffic, noise, failures, and its healthy baseline.

May import no other room of load.
"""

from load.world.failures import FAILURES
from load.world.healthy import SAMPLE_INTERVAL_S, SAMPLE_RECORDS, healthy_baseline
from load.world.lines import SUBJECT, json_lines
from load.world.noise import DAY_MS, Floats, daily_cycle, weekend
from load.world.plan import VERSIONED_KINDS, Change, Plan
from load.world.world import BOUNDED, Columns, World, cut, generate

__all__ = [
    "BOUNDED",
    "DAY_MS",
    "FAILURES",
    "SAMPLE_INTERVAL_S",
    "SAMPLE_RECORDS",
    "SUBJECT",
    "VERSIONED_KINDS",
    "Change",
    "Columns",
    "Floats",
    "Plan",
    "World",
    "cut",
    "daily_cycle",
    "generate",
    "healthy_baseline",
    "json_lines",
    "weekend",
]
