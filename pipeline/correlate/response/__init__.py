"""What people should do by when: containment, change freeze, targets, reminders, notifications due.

May import causes, deployments, incidents and playbook.
"""

from pipeline.correlate.response.change_freeze import deployment_line, freeze
from pipeline.correlate.response.containment import Situation, containment
from pipeline.correlate.response.notifications_due import duties_of
from pipeline.correlate.response.reminders import NEVER, remind
from pipeline.correlate.response.targets import progress, response_targets

__all__ = [
    "NEVER",
    "Situation",
    "containment",
    "deployment_line",
    "duties_of",
    "freeze",
    "progress",
    "remind",
    "response_targets",
]
