"""Requests of publishers: their documented payloads, signed as each of them signs."""

import base64
import hmac
import json
from pathlib import Path

from pipeline.correlate.deployments import DeploymentHistory
from pipeline.webhooks import WebhookSettings, read_webhook
from schemas.deployment import Deployment
from schemas.topics import DEPLOYMENTS

PAYLOADS = Path(__file__).parent / "payloads"
SECRET = b"It's a Secret to Everybody"
NOW = 1_795_489_960_000

SUBJECTS = {
    "github": "{repository.name}",
    "argocd": "{application}",
    "launchdarkly": "support-bot",
    "langfuse": "{prompt.name}",
    "cdevents": "{subject.id}",
    "generic": "{service}",
}
FILES = {
    "github": "github_deployment_status",
    "argocd": "argocd_deployed",
    "launchdarkly": "launchdarkly_flag_on",
    "langfuse": "langfuse_created",
    "cdevents": "cdevents_upgraded",
    "generic": "generic",
}
GENERIC = {
    "signature": "hmac",
    "header": "X-Build-Signature",
    "map": ["build.finished_at=timestamp", "build.version=to_version", "build.id=deployment_id"],
    "constants": {"kind": "code"},
}
GENERIC_PAYLOAD = {
    "service": "support-bot",
    "status": "passed",
    "build": {"id": 812, "version": "v42", "before": "v41", "finished_at": "2026-11-24T03:11:40Z"},
}


def settings(kind, **keys):
    """Return the settings of a webhook of a kind, with one subject per change."""
    defaults = {"kind": kind, "secrets": ["not used by the pure code"], "subjects": [SUBJECTS[kind]]}
    return WebhookSettings(**{**defaults, **(GENERIC if kind == "generic" else {}), **keys})


def payload(kind, name=None):
    """Return the documented payload of a publisher."""
    if kind == "generic":
        return json.loads(json.dumps(GENERIC_PAYLOAD))
    return json.loads((PAYLOADS / f"{name or FILES[kind]}.json").read_text())


def digest(body, secret=SECRET):
    return hmac.new(secret, body, "sha256").hexdigest()


def sign(kind, body, *, secret=SECRET, signed_ms=NOW):
    """Return the headers with which a publisher sends a body."""
    at = str(signed_ms // 1000)
    return {
        "github": {
            "x-github-event": "deployment_status",
            "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
            "x-hub-signature-256": f"sha256={digest(body, secret)}",
        },
        "argocd": {"authorization": f"Bearer {secret.decode()}"},
        "launchdarkly": {"x-ld-signature": digest(body, secret)},
        "langfuse": {"x-langfuse-signature": f"t={at},v1={digest(f'{at}.'.encode() + body, secret)}"},
        "cdevents": {"authorization": f"Bearer {secret.decode()}", "content-type": "application/json"},
        "generic": {"x-build-signature": base64.b64encode(bytes.fromhex(digest(body, secret))).decode()},
    }[kind]


def send(kind, content=None, *, headers=None, now_ms=NOW, secrets=(SECRET,), **keys):
    """Send a payload, correctly signed unless the headers are given, and return the result."""
    body = json.dumps(payload(kind) if content is None else content).encode()
    sent = sign(kind, body) if headers is None else headers
    return read_webhook(settings(kind, **keys), secrets, sent, body, now_ms)


def deployments(*results):
    """Return what correlate stores of results that arrive in this order, in order of time."""
    stored = {}
    for result in results:
        for output in result.outputs:
            assert output.topic == DEPLOYMENTS
            [deployment] = Deployment.read(json.loads(output.value))
            assert output.key == deployment.deployment_id.encode()
            stored[DeploymentHistory.key(deployment)] = deployment.model_dump(exclude_none=True)
    return sorted(stored.values(), key=lambda one: (one["timestamp"], one["deployment_id"]))
