"""Suites of the score, one module per suite.

This package may import assistant, simulation and world.
"""

from load.score.suite import ScorePlan, ScoreResults, ScoreTask, Suite, SuiteName, TaskKey
from load.score.suites import causes, failures, false_alarms, field_trials, harmless, recorded, severity

SUITES: dict[SuiteName, Suite] = {
    "null": false_alarms,
    "failures": failures,
    "harmless": harmless,
    "real": recorded,
    "severity": severity,
    "causes": causes,
    "field": field_trials,
}
"""Suites by name, in the order of the report."""

LONG_SUITES: frozenset[SuiteName] = frozenset({"field"})
"""Suites that take up to an hour. They are not part of ``all``."""

__all__ = ["LONG_SUITES", "SUITES", "ScorePlan", "ScoreResults", "ScoreTask", "SuiteName", "TaskKey"]
