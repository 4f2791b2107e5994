"""How bad drifts are, by rules and adjustments that are data.

Knows no incident. May import playbook.
"""

from pipeline.correlate.severity.adjustment import Move
from pipeline.correlate.severity.rule import Name, Promise, Rule
from pipeline.correlate.severity.severity import SEVERITIES, Decision, decide, worse
from pipeline.correlate.severity.table import Table, default_table

__all__ = ["SEVERITIES", "Decision", "Move", "Name", "Promise", "Rule", "Table", "decide", "default_table", "worse"]
