"""Expected shifts: a deployment that says which signals it moves on purpose has detect learn their new normal."""

import hashlib

from pipeline.step import Output
from schemas.deployment import Deployment
from schemas.relearn import Relearn
from schemas.topics import BASELINES


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
