"""The chaos suite: a seeded schedule of faults over a full topology, compared with an undisturbed run.

This package may import world, wire and harness.
"""

from load.chaos.run import ChaosReport, run_chaos
from load.chaos.schedule import PlannedFault, plan_faults

__all__ = ["ChaosReport", "PlannedFault", "plan_faults", "run_chaos"]
