"""The four phases in which a message is processed, in order, and the rules of each phase.

1. :mod:`~pipeline.correlate.phases.apply` changes the incidents that the message is about.
2. :mod:`~pipeline.correlate.phases.settle` applies the effects of time: severity falls, incidents resolve.
3. :mod:`~pipeline.correlate.phases.group` merges incidents of many subjects into parents.
4. :mod:`~pipeline.correlate.phases.publish` writes the revisions.

The input of each phase is the table of incidents and the incidents that the message has touched so far. This package
may import every other package of correlate.
"""

from pipeline.correlate.phases.apply import apply_message
from pipeline.correlate.phases.group import group_incidents, restore_candidates
from pipeline.correlate.phases.incident_table import IncidentTable, Touched
from pipeline.correlate.phases.publish import publish_revisions
from pipeline.correlate.phases.settle import settle_clocks

__all__ = [
    "IncidentTable",
    "Touched",
    "apply_message",
    "group_incidents",
    "publish_revisions",
    "restore_candidates",
    "settle_clocks",
]
