"""The streams that detection is scored on: scenarios, effects, disturbances.

May import world.
"""

from load.score.simulation.extra_signals import widened
from load.score.simulation.normal_day import BASELINE_END_MS, Normal, baseline_of, normal_of
from load.score.simulation.scenario import Disturbance, Scenario, Touch, Where, scenarios
from load.score.simulation.stream import OTHER_CHANCE, Told, begins_ms, joined, stream

__all__ = [
    "BASELINE_END_MS",
    "OTHER_CHANCE",
    "Disturbance",
    "Normal",
    "Scenario",
    "Told",
    "Touch",
    "Where",
    "baseline_of",
    "begins_ms",
    "joined",
    "normal_of",
    "scenarios",
    "stream",
    "widened",
]
