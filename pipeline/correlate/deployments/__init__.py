"""What was deployed where: components, rollbacks, declared changes, known good versions.

Knows no incident. May import playbook.
"""

from pipeline.correlate.deployments.declared_changes import is_declared, relearn_output
from pipeline.correlate.deployments.deployments import (
    Deployments,
    Served,
    change,
    labels_of,
    names_what_it_touches,
    takes_back,
    touches,
)
from pipeline.correlate.deployments.known_good import Good, Past, last_known_good
from pipeline.correlate.deployments.rollbacks import Rollbacks, rollback_of, switched_off

__all__ = [
    "Deployments",
    "Good",
    "Past",
    "Rollbacks",
    "Served",
    "change",
    "is_declared",
    "labels_of",
    "last_known_good",
    "names_what_it_touches",
    "relearn_output",
    "rollback_of",
    "switched_off",
    "takes_back",
    "touches",
]
