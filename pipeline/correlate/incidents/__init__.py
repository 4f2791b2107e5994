"""The state of incidents, their membership in other incidents, their clocks and logs, and the store of all incidents.

This package does not depend on deployments. It may import severity and playbook.
"""

from pipeline.correlate.incidents import running_log
from pipeline.correlate.incidents.clock import IncidentClocks
from pipeline.correlate.incidents.incident_state import IncidentState, Reminder
from pipeline.correlate.incidents.membership import SharedScope
from pipeline.correlate.incidents.refusals import IncidentStanding, refusal_reason
from pipeline.correlate.incidents.store import IncidentStore

__all__ = [
    "IncidentClocks",
    "IncidentStanding",
    "IncidentState",
    "IncidentStore",
    "Reminder",
    "SharedScope",
    "refusal_reason",
    "running_log",
]
