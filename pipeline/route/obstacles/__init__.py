"""Obstacles that hold a notification back: inhibition rules, closed times of routes, and silences.

This package may import the settings, reasons, labels, time intervals and matchers of route.
"""

from pipeline.route.obstacles.closed_times import ClosedTimes
from pipeline.route.obstacles.inhibition import Inhibition
from pipeline.route.obstacles.silences import Silence, Silences

__all__ = ["ClosedTimes", "Inhibition", "Silence", "Silences"]
