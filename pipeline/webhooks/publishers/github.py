"""GitHub: the event ``deployment_status``. A deployment that succeeded is a release of the service.

The identity of the change is that of GitHub's deployment, so a redelivery, and a second status of the same deployment,
are the same change. GitHub marks earlier deployments as inactive after each success, so that is no rollback.

Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads#deployment_status
"""

from pipeline.webhooks.publishers.changes import find_object, report_change, require_text
from pipeline.webhooks.request import WebhookRequest, WebhookResult
from pipeline.webhooks.settings import WebhookSettings


def read_github(settings: WebhookSettings, request: WebhookRequest) -> WebhookResult:
    """Return the deployments of a delivery."""
    payload, event = request.payload, request.headers.get("x-github-event", "")
    if event == "ping":
        return WebhookResult(ignored="GitHub checks that the webhook can be reached")
    if event != "deployment_status":
        return WebhookResult(ignored="only the event deployment_status is used")
    state = require_text(payload, "deployment_status", "state")
    if state != "success":
        return WebhookResult(ignored="the deployment has not succeeded, or a later one has replaced it")
    deployment = find_object(payload, "deployment")
    # A bot can create the deployment. The person who started the run, or started it again, caused it.
    person = find_object(payload, "workflow_run", "triggering_actor") or find_object(deployment, "creator")
    return report_change(
        settings,
        request,
        {
            "deployment_id": f"github:{require_text(payload, 'repository', 'full_name')}:{require_text(deployment, 'id')}",
            "timestamp": find_object(payload, "deployment_status").get("created_at"),
            "kind": "code",
            "name": require_text(payload, "repository", "full_name"),
            "environment": deployment.get("environment"),
            "to_version": require_text(deployment, "sha"),
            "summary": deployment.get("description"),
            "author": person.get("login"),
        },
    )
