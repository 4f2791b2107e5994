"""People's tasks and their deadlines: containment, change freeze, targets, reminders, notifications due.

This package may import causes, deployments, incidents and playbook.
"""

from pipeline.correlate.response.change_freeze import ChangeFreeze
from pipeline.correlate.response.containment import ContainmentContext, rank_containment
from pipeline.correlate.response.notifications_due import notifications_due
from pipeline.correlate.response.reminders import NEVER, add_due_reminders
from pipeline.correlate.response.targets import response_progress, response_targets

__all__ = [
    "NEVER",
    "ChangeFreeze",
    "ContainmentContext",
    "add_due_reminders",
    "notifications_due",
    "rank_containment",
    "response_progress",
    "response_targets",
]
