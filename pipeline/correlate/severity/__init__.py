"""The severity of drifts, as determined by a table of rules and adjustments.

This package does not depend on incidents. It may import playbook.
"""

from pipeline.correlate.severity.adjustment import SeverityAdjustment
from pipeline.correlate.severity.rule import SLA, SeverityRule
from pipeline.correlate.severity.severity import SEVERITIES, SeverityDecision, decide_severity, is_worse
from pipeline.correlate.severity.table import SeverityTable

__all__ = [
    "SEVERITIES",
    "SLA",
    "SeverityAdjustment",
    "SeverityDecision",
    "SeverityRule",
    "SeverityTable",
    "decide_severity",
    "is_worse",
]
