"""Expected shifts: requests to relearn the signals that a deployment changes intentionally."""

import hashlib

from pipeline.step import OutputMessage
from schemas.deployment import Deployment
from schemas.relearn import Relearn
from schemas.topics import BASELINES


def relearn_output(deployment: Deployment) -> OutputMessage | None:
    """Return the request to relearn the signals in ``expect_shift``, or None without signals or a subject."""
    if not deployment.expect_shift or deployment.subject is None:
        return None
    # A deployment_id may be as long as a label. Its hash leaves room for the prefix.
    digest = hashlib.blake2b(deployment.deployment_id.encode(), digest_size=8).hexdigest()
    relearn = Relearn(
        relearn_id=f"shift-{digest}",
        subject=deployment.subject,
        at=deployment.timestamp,
        signals=sorted(set(deployment.expect_shift)),
        reason="expected_shift",
        requested_by=deployment.deployment_id,
    )
    return OutputMessage(BASELINES, f"{relearn.subject}/{relearn.relearn_id}".encode(), relearn.to_json())
