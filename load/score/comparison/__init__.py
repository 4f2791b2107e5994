"""Simpler detectors for comparison: river's detectors, a three-sigma rule and a rule on records per minute.

This package may import simulation.
"""

from load.score.comparison.river_detectors import DETECTORS, run_detector, run_detectors
from load.score.comparison.simpler_rules import find_provoked_rules

__all__ = ["DETECTORS", "find_provoked_rules", "run_detector", "run_detectors"]
