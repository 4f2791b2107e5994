"""A soak: faults for a long time, the resources of the workers, and their plot.

This package may import the modules of chaos: schedule, environment, comparison, workload and faults.
"""

from load.chaos.soak.soak_plot import draw_soak
from load.chaos.soak.soak_run import SoakReport, run_soak

__all__ = ["SoakReport", "draw_soak", "run_soak"]
