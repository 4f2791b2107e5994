"""Streams for scoring detection: scenarios, effects and disturbances.

This package may import world.
"""

from load.score.simulation.baseline_source import BaselineSource
from load.score.simulation.quiet_stream import generate_quiet_stream
from load.score.simulation.scenario import Scenario, Touch, read_scenarios
from load.score.simulation.stream import StreamPart, generate_stream

__all__ = [
    "BaselineSource",
    "Scenario",
    "StreamPart",
    "Touch",
    "generate_quiet_stream",
    "generate_stream",
    "read_scenarios",
]
