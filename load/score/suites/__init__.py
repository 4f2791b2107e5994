"""Suites of the score, one module per suite.

This package may import simulation and world.
"""

from load.score.suites import causes, failures, false_alarms, harmless, recorded, severity
from load.score.suites.suite import ScorePlan, ScoreResults, ScoreTask, Suite, SuiteName, TaskKey

SUITES: dict[SuiteName, Suite] = {
    "null": false_alarms,
    "failures": failures,
    "harmless": harmless,
    "real": recorded,
    "severity": severity,
    "causes": causes,
}
"""Suites by name, in the order of the report."""

__all__ = ["SUITES", "ScorePlan", "ScoreResults", "ScoreTask", "SuiteName", "TaskKey"]
