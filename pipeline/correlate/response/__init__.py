"""What people should do by when: containment, change freeze, targets, reminders, notifications due.

May import causes, deployments, incidents and playbook.
"""

from pipeline.correlate.response.change_freeze import decide_freeze, deployment_log_line
from pipeline.correlate.response.containment import ContainmentContext, rank_containment
from pipeline.correlate.response.notifications_due import notifications_due
from pipeline.correlate.response.reminders import NEVER, add_due_reminders
from pipeline.correlate.response.targets import response_progress, response_targets

__all__ = [
    "NEVER",
    "ContainmentContext",
    "add_due_reminders",
    "decide_freeze",
    "deployment_log_line",
    "notifications_due",
    "rank_containment",
    "response_progress",
    "response_targets",
]
