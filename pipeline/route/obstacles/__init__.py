"""Obstacles that hold a notification back: inhibition rules, closed times of routes, and silences.

This package may import the settings, reasons, labels, time intervals and matchers of route.
"""

from pipeline.route.obstacles.closed_times import ClosedTimes
from pipeline.route.obstacles.obstacles import Obstacles, is_same_obstacle
from pipeline.route.obstacles.silences import Silence

__all__ = ["ClosedTimes", "Obstacles", "Silence", "is_same_obstacle"]
