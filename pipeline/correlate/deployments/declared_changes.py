"""Declared changes: whether a version that served for the first time is one of which a deployment told."""

import hashlib
from collections.abc import Iterable

from pipeline.step import Output
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.relearn import Relearn
from schemas.topics import BASELINES

NEAR_MS = 600_000
"""Milliseconds: a change of the same kind so near to the first record is taken for it, whatever version it names."""

_KINDS = {"provider_model": ("model", "provider_status"), "schema_id": ("data",)}
"""By label, the kinds of deployment that change it. A kind of version is changed by deployments of that kind."""


def is_declared(drift: Drift, deployments: Iterable[Deployment]) -> bool:
    """Whether a drift tells of a first use that was deployed.

    Parameters
    ----------
    drift
        Of any detector; only one that tells of a first use can be declared.
    deployments
        Those that touch its subject.
    """
    if drift.detector != "first_seen":
        return False
    name, _, label = drift.segment.partition("=")
    return any(_declares(deployment, name, label, drift.started_at) for deployment in deployments)


def _declares(deployment: Deployment, name: str, label: str, first_ms: int) -> bool:
    if deployment.kind not in _KINDS.get(name, (name,)) and name not in (deployment.name, _named(deployment)):
        return False
    return deployment.to_version == label or abs(deployment.timestamp - first_ms) <= NEAR_MS


def _named(deployment: Deployment) -> str:
    return f"{deployment.kind}:{deployment.name}"


def relearn_output(deployment: Deployment) -> Output | None:
    """What is to be learned anew because of a deployment; None if it declares no shift, or names no subject."""
    if not deployment.expect_shift or deployment.subject is None:
        return None
    # An id of one's own may be as long as a label: its hash leaves room for what is said of it.
    digest = hashlib.blake2b(deployment.deployment_id.encode(), digest_size=8).hexdigest()
    relearn = Relearn(
        relearn_id=f"shift-{digest}",
        subject=deployment.subject,
        at=deployment.timestamp,
        signals=sorted(set(deployment.expect_shift)),
        reason="expected_shift",
        requested_by=deployment.deployment_id,
    )
    return Output(BASELINES, f"{relearn.subject}/{relearn.relearn_id}".encode(), relearn.to_json())
