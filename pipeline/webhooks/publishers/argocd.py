"""Argo CD: what its notifications send with the template and trigger in ``docs/connect.md``.

The payload has the entry of the application's history with which the current revision began, and the revision before it.
Argo CD notifies again after each sync, and a sync of the same revision adds an entry. The id and the time of the first
entry are the identity of the change: the ids of an application that is created again begin at 0.

Sources: https://argo-cd.readthedocs.io/en/stable/operator-manual/notifications/services/webhook/,
https://argo-cd.readthedocs.io/en/stable/operator-manual/notifications/triggers/
"""

from pipeline.webhooks.publishers.changes import report_change, require_text
from pipeline.webhooks.request import WebhookRequest, WebhookResult
from pipeline.webhooks.settings import WebhookSettings


def read_argocd(settings: WebhookSettings, request: WebhookRequest) -> WebhookResult:
    """Return the deployments of a notification."""
    payload = request.payload
    application, revision = require_text(payload, "application"), require_text(payload, "revision")
    before, deployed_at = payload.get("previous_revision") or None, require_text(payload, "deployed_at")
    if before == revision:
        return WebhookResult(ignored="the revision was deployed before, so nothing has changed")
    return report_change(
        settings,
        request,
        {
            "deployment_id": f"argocd:{require_text(payload, 'namespace')}/{application}:{require_text(payload, 'id')}"
            f":{deployed_at}",
            "timestamp": deployed_at,
            "kind": "code",
            "name": application,
            "from_version": before,
            "to_version": revision,
            "author": payload.get("author") or None,
        },
    )
