"""What an incident is and how it changes: joining, merging, parents, people's commands, clocks.

Knows no deployment. May import severity and playbook.
"""

from pipeline.correlate.incidents.clock import IncidentClocks
from pipeline.correlate.incidents.commands import apply_command, was_applied
from pipeline.correlate.incidents.facts import IncidentState, Reminder, newest_lines, shorten
from pipeline.correlate.incidents.grouping import IncidentGrouping
from pipeline.correlate.incidents.membership import SharedScope
from pipeline.correlate.incidents.refusals import IncidentStanding, missing_field, refusal_reason
from pipeline.correlate.incidents.store import IncidentStore
from pipeline.correlate.incidents.tracked import TrackedDrift

__all__ = [
    "IncidentClocks",
    "IncidentGrouping",
    "IncidentStanding",
    "IncidentState",
    "IncidentStore",
    "Reminder",
    "SharedScope",
    "TrackedDrift",
    "apply_command",
    "missing_field",
    "newest_lines",
    "refusal_reason",
    "shorten",
    "was_applied",
]
