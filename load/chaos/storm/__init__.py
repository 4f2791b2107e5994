"""A storm of incidents through route alone, while a receiver fails and the worker is killed.

This package may import the receiver and the comparison of chaos.
"""

from load.chaos.storm.storm_run import StormReport, run_storm

__all__ = ["StormReport", "run_storm"]
