"""Langfuse prompts: a version of a prompt gets the label that production uses.

When a label moves, Langfuse reports the version that gets it and the version that loses it. The first is the change,
and the second is ignored. Langfuse also reports a version whose tags or other labels change, and does not say which of
its labels are new. Such an event looks like a move to the version that has the label already. Correlate recognises it,
because the prompt has this version before.

Sources: https://langfuse.com/docs/prompt-management/features/webhooks-slack-integrations,
https://github.com/langfuse/langfuse/issues/9542
"""

from pipeline.webhooks.publishers.changes import find_object, report_change, require_text
from pipeline.webhooks.request import WebhookRequest, WebhookResult
from pipeline.webhooks.settings import WebhookSettings


def read_langfuse(settings: WebhookSettings, request: WebhookRequest) -> WebhookResult:
    """Return the deployments of an event."""
    payload = request.payload
    if payload.get("type") != "prompt-version":
        return WebhookResult(ignored="the event is not about a version of a prompt")
    prompt, label = find_object(payload, "prompt"), settings.label
    labels = prompt.get("labels")
    if not isinstance(labels, list) or label not in labels:
        return WebhookResult(ignored="the version does not have the label of the webhook")
    action, name, version = (
        require_text(payload, "action"),
        require_text(prompt, "name"),
        require_text(prompt, "version"),
    )
    changed_at = prompt.get("updatedAt") or payload.get("timestamp")
    is_removed, user = action == "deleted", find_object(payload, "user")
    return report_change(
        settings,
        request,
        {
            "deployment_id": f"langfuse:{require_text(prompt, 'id')}:{label}:{'deleted' if is_removed else changed_at}",
            "timestamp": payload.get("timestamp") if is_removed else changed_at,
            "kind": "prompt",
            "name": name,
            "from_version": version if is_removed else None,
            "to_version": None if is_removed else version,
            "summary": "The version was deleted." if is_removed else prompt.get("commitMessage"),
            "author": user.get("name") or user.get("email"),
        },
    )
