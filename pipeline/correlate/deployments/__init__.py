"""What was deployed where: components, rollbacks, declared changes, known good versions.

Knows no incident. May import playbook.
"""

from pipeline.correlate.deployments.declared_changes import is_declared, relearn_output
from pipeline.correlate.deployments.deployments import (
    DeploymentHistory,
    ServedTraffic,
    describe_change,
    version_labels,
    has_scope,
    reverts,
    affects,
)
from pipeline.correlate.deployments.known_good import KnownGood, PastIncident, last_known_good
from pipeline.correlate.deployments.rollbacks import RollbackIndex, find_rollback, find_kill_switch_use

__all__ = [
    "DeploymentHistory",
    "KnownGood",
    "PastIncident",
    "RollbackIndex",
    "ServedTraffic",
    "describe_change",
    "is_declared",
    "version_labels",
    "last_known_good",
    "has_scope",
    "relearn_output",
    "find_rollback",
    "find_kill_switch_use",
    "reverts",
    "affects",
]
