"""What the incident playbook says, as tables: failure modes, response times, business hours, regulatory duties, phrases.

Knows no incident.
"""

from pipeline.correlate.playbook import failure_modes, phrases
from pipeline.correlate.playbook.business_hours import BusinessHours
from pipeline.correlate.playbook.duties import DutyRow, duty_rows, known_regimes
from pipeline.correlate.playbook.failure_modes import Action, Family, Mode
from pipeline.correlate.playbook.response_times import PLAYBOOK, Response, response_of

__all__ = [
    "PLAYBOOK",
    "Action",
    "BusinessHours",
    "DutyRow",
    "Family",
    "Mode",
    "Response",
    "duty_rows",
    "failure_modes",
    "known_regimes",
    "phrases",
    "response_of",
]
