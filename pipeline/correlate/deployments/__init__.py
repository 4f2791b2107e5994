"""What was deployed where: components, rollbacks, declared changes, known good versions.

Knows no incident. May import playbook.
"""

from pipeline.correlate.deployments.declared_changes import is_declared, relearn_output
from pipeline.correlate.deployments.deployments import (
    DeploymentHistory,
    ServedTraffic,
    affects,
    describe_change,
    has_scope,
    reverts,
    version_labels,
)
from pipeline.correlate.deployments.known_good import KnownGood, PastIncident, last_known_good
from pipeline.correlate.deployments.rollbacks import RollbackIndex, find_kill_switch_use, find_rollback

__all__ = [
    "DeploymentHistory",
    "KnownGood",
    "PastIncident",
    "RollbackIndex",
    "ServedTraffic",
    "affects",
    "describe_change",
    "find_kill_switch_use",
    "find_rollback",
    "has_scope",
    "is_declared",
    "last_known_good",
    "relearn_output",
    "reverts",
    "version_labels",
]
