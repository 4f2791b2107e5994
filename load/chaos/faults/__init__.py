"""The faults of a run, and the runner that executes a schedule of faults.

This package may import the chaos modules on which faults act: schedule, environment, workers and observers.
"""

from load.chaos.faults.disturbance import disturb
from load.chaos.faults.worker_faults import ChaosFault

__all__ = ["ChaosFault", "disturb"]
