"""The incident playbook as tables: failure modes, response times, business hours, regulatory duties, phrases.

This package does not depend on incidents, and does not import any other package of correlate.
"""

from pipeline.correlate.playbook import failure_modes, phrases
from pipeline.correlate.playbook.business_hours import BusinessHours
from pipeline.correlate.playbook.duties import DutyRow, known_regimes
from pipeline.correlate.playbook.failure_modes import FailureMode, Family
from pipeline.correlate.playbook.response_times import ResponseTimes

__all__ = [
    "BusinessHours",
    "DutyRow",
    "FailureMode",
    "Family",
    "ResponseTimes",
    "failure_modes",
    "known_regimes",
    "phrases",
]
