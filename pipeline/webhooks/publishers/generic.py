"""Any other publisher: the mapping of the settings names what its payload means.

If no source is mapped to the id, the id is a hash of the body, so a body that is sent twice is the same change.
"""

from hashlib import blake2b

from pipeline.webhooks.publishers.changes import report_change
from pipeline.webhooks.request import WebhookRequest, WebhookResult
from pipeline.webhooks.settings import WebhookSettings

_DIGEST_BYTES = 16


def read_generic(settings: WebhookSettings, request: WebhookRequest) -> WebhookResult:
    """Return the deployments of a payload."""
    digest = blake2b(request.body, digest_size=_DIGEST_BYTES).hexdigest()
    return report_change(settings, request, {"deployment_id": f"webhook:{digest}"})
