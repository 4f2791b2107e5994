"""Obstacles that hold a notification back: inhibition rules and silences. Time intervals are part of the settings.

This package may import the settings, labels and matchers of route.
"""

from pipeline.route.obstacles.inhibition import Inhibition
from pipeline.route.obstacles.silences import Silence, Silences

__all__ = ["Inhibition", "Silence", "Silences"]
