"""What the incident playbook says, as tables: failure modes, response times, business hours, regulatory duties, phrases.

Knows no incident.
"""

from pipeline.correlate.playbook import failure_modes, phrases
from pipeline.correlate.playbook.business_hours import BusinessHours
from pipeline.correlate.playbook.duties import DutyRow, duty_rows, known_regimes
from pipeline.correlate.playbook.failure_modes import Action, FailureMode, Family
from pipeline.correlate.playbook.response_times import PLAYBOOK_TIMES, ResponseTimes, response_times_for

__all__ = [
    "PLAYBOOK_TIMES",
    "Action",
    "BusinessHours",
    "DutyRow",
    "FailureMode",
    "Family",
    "ResponseTimes",
    "duty_rows",
    "failure_modes",
    "known_regimes",
    "phrases",
    "response_times_for",
]
