"""How bad drifts are, by rules and adjustments that are data.

Knows no incident. May import playbook.
"""

from pipeline.correlate.severity.adjustment import SeverityAdjustment
from pipeline.correlate.severity.rule import SLA, RuleName, SeverityRule
from pipeline.correlate.severity.severity import SEVERITIES, SeverityDecision, decide_severity, is_worse
from pipeline.correlate.severity.table import SeverityTable, default_table

__all__ = [
    "SEVERITIES",
    "SLA",
    "RuleName",
    "SeverityAdjustment",
    "SeverityDecision",
    "SeverityRule",
    "SeverityTable",
    "decide_severity",
    "default_table",
    "is_worse",
]
