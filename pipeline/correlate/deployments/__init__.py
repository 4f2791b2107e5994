"""The stored deployments: components, rollbacks, declared changes, known good versions.

This package does not depend on incidents, and does not import any other package of correlate.
"""

from pipeline.correlate.deployments.deployments import (
    DeploymentHistory,
    RollbackIndex,
    ServedTraffic,
    describe_change,
    version_labels,
)
from pipeline.correlate.deployments.expected_shift import relearn_output
from pipeline.correlate.deployments.known_good import KnownGood, find_rollback

__all__ = [
    "DeploymentHistory",
    "KnownGood",
    "RollbackIndex",
    "ServedTraffic",
    "describe_change",
    "find_rollback",
    "relearn_output",
    "version_labels",
]
