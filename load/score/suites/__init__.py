"""Suites of the score, one module per suite. A suite with files of its own has its own package, such as nab.

This package may import assistant, nab, renewal, simulation and world.
"""

from load.score import nab, renewal
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
    "nab": nab,
    "renewal": renewal,
}
"""Suites by name, in the order of the report."""

LONG_SUITES: frozenset[SuiteName] = frozenset({"field", "nab", "renewal"})
"""Suites that run only if they are named. They take up to an hour, or miss their targets for now."""

__all__ = ["LONG_SUITES", "SUITES", "ScorePlan", "ScoreResults", "ScoreTask", "SuiteName", "TaskKey"]
