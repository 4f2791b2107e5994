"""The faults of a run, and the runner that carries out a schedule of them.

This package may import the modules of chaos that a fault acts on: schedule, environment, workers and observers.
"""

from load.chaos.faults.disturbance import disturb
from load.chaos.faults.worker_faults import ChaosFault

__all__ = ["ChaosFault", "disturb"]
