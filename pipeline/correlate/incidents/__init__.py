"""What an incident is and how it changes: joining, merging, parents, people's commands, clocks.

Knows no deployment. May import severity and playbook.
"""

from pipeline.correlate.incidents.clock import Clocks
from pipeline.correlate.incidents.commands import follow, was_followed
from pipeline.correlate.incidents.facts import Facts, Reminder, newest_lines, shortened
from pipeline.correlate.incidents.grouping import Grouping
from pipeline.correlate.incidents.membership import Scope
from pipeline.correlate.incidents.refusals import Standing, incomplete, refusal
from pipeline.correlate.incidents.store import Incidents
from pipeline.correlate.incidents.tracked import Tracked

__all__ = [
    "Clocks",
    "Facts",
    "Grouping",
    "Incidents",
    "Reminder",
    "Scope",
    "Standing",
    "Tracked",
    "follow",
    "incomplete",
    "newest_lines",
    "refusal",
    "shortened",
    "was_followed",
]
