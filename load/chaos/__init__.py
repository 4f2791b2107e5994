"""The chaos suite and the soak: a seeded schedule of faults over a full topology.

A run of the suite is compared with an undisturbed run. A soak is longer and checks that its resource use does not grow.

This package may import world, wire and harness.
"""

from load.chaos.run import ChaosReport, run_chaos
from load.chaos.schedule import PlannedFault, plan_faults
from load.chaos.soak import SoakReport, draw_soak, run_soak

__all__ = ["ChaosReport", "PlannedFault", "SoakReport", "draw_soak", "plan_faults", "run_chaos", "run_soak"]
