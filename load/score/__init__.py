"""The score: detection and diagnosis against ground truth.

Its rooms are simulation and suites.
"""

from load.score.report import report
from load.score.run_suites import SUITES, Plan, run
from load.score.show import show

__all__ = ["SUITES", "Plan", "report", "run", "show"]
