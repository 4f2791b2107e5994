"""CDEvents 0.5: a service is deployed, upgraded, rolled back or removed in an environment.

The events come as CloudEvents over HTTP. In binary mode, the body is the event. In structured mode, the event is the
data of the body, which is unwrapped before. An event is identified by its source and id, as CDEvents requires.

Source: https://github.com/cdevents/spec/blob/v0.5.0/continuous-deployment.md
"""

import re
from urllib.parse import unquote

from pipeline.webhooks.publishers.changes import find_object, report_change, require_text
from pipeline.webhooks.request import WebhookRequest, WebhookResult
from pipeline.webhooks.settings import WebhookSettings

_TYPE = re.compile(r"dev\.cdevents\.service\.(deployed|upgraded|rolledback|removed)\..+")
_SUMMARIES = {"rolledback": "The service was rolled back.", "removed": "The service was removed."}
_PURL_VERSION = re.compile(r".*@([^@]+)")


def read_cdevents(settings: WebhookSettings, request: WebhookRequest) -> WebhookResult:
    """Return the deployments of an event."""
    payload = request.payload
    kind = _TYPE.fullmatch(require_text(payload, "context", "type"))
    if kind is None:
        return WebhookResult(ignored="the event is not about the deployment of a service")
    context, subject = find_object(payload, "context"), find_object(payload, "subject")
    environment = find_object(subject, "content", "environment")
    artifact = find_object(subject, "content").get("artifactId")
    return report_change(
        settings,
        request,
        {
            "deployment_id": f"cdevents:{require_text(context, 'source')}:{require_text(context, 'id')}",
            "timestamp": context.get("timestamp"),
            "kind": "code",
            "name": require_text(subject, "id"),
            "environment": environment.get("name") or environment.get("id"),
            "to_version": read_package_version(artifact) if isinstance(artifact, str) and artifact else None,
            "summary": _SUMMARIES.get(kind[1]),
        },
    )


def read_package_version(package_url: str) -> str:
    """Return the version in a package URL, or the whole text if it has none.

    Source: https://github.com/package-url/purl-spec

    >>> read_package_version("pkg:oci/myapp@sha256%3A0b31b1c0?tag=v2")
    'sha256:0b31b1c0'
    """
    match = _PURL_VERSION.fullmatch(package_url.partition("?")[0].partition("#")[0])
    return unquote(match[1]) if match else package_url
