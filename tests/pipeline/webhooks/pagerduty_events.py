"""Events of PagerDuty's webhooks V3, with all fields that PagerDuty documents.

Sources: https://developer.pagerduty.com/docs/webhooks-overview and, for the agent of an integration and the incident key
that is null, events that real accounts have sent.
"""

import hmac
from typing import Any

import orjson

WEBHOOK_SECRET = b"gT9vX2mQ7rK4pW8s"
TITLE = "P1 support-bot leaks personal data: personal data in 0.4 % of outputs (inc-3f9a21c0b7)"


def reference(kind: str, identifier: str, name: str) -> dict[str, str]:
    """A reference to another object of the account."""
    return {
        "html_url": f"https://acme.pagerduty.com/{kind}s/{identifier}",
        "id": identifier,
        "self": f"https://api.pagerduty.com/{kind}s/{identifier}",
        "summary": name,
        "type": f"{kind}_reference",
    }


ANA = reference("user", "PLH1HKV", "Ana Alves")
BEN = reference("user", "PTUXL6G", "Ben Brandt")
INTEGRATION = reference("service", "PF9KMXH", "Events API V2") | {"type": "inbound_integration_reference"}


def incident_data(**changes: Any) -> dict[str, Any]:
    """The data of an event about an incident."""
    return {
        "id": "PGR0VU2",
        "type": "incident",
        "self": "https://api.pagerduty.com/incidents/PGR0VU2",
        "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2",
        "number": 2,
        "status": "triggered",
        "incident_key": None,
        "created_at": "2026-11-24T03:12:30Z",
        "title": TITLE,
        "service": reference("service", "PF9KMXH", "Support bot"),
        "assignees": [ANA],
        "escalation_policy": reference("escalation_policy", "PUS0KTE", "Default"),
        "teams": [reference("team", "PFCVPS0", "Assistants")],
        "priority": reference("priority", "PSO75BM", "P1"),
        "urgency": "high",
        "conference_bridge": {"conference_number": "+1 5550100,,55501#", "conference_url": "https://example.com"},
        "resolve_reason": None,
    } | changes


def note_data(content: str, title: str = TITLE) -> dict[str, Any]:
    """The data of an event about a note."""
    return {
        "incident": reference("incident", "PGR0VU2", title),
        "id": "P2LA89X",
        "content": content,
        "trimmed": False,
        "type": "incident_note",
    }


def event(event_type: str, data: dict[str, Any] | None = None, /, **changes: Any) -> dict[str, Any]:
    """The payload of an event, such as ``incident.acknowledged``."""
    return {
        "event": {
            "id": "5ac64822-4adc-4fda-ade0-410becf0de4f",
            "event_type": event_type,
            "resource_type": event_type.partition(".")[0],
            "occurred_at": "2026-11-24T03:14:10.169Z",
            "agent": ANA,
            "client": {"name": "PagerDuty"},
            "data": incident_data() if data is None else data,
            **changes,
        }
    }


def sign(body: bytes, *secrets: bytes) -> dict[str, str]:
    """The header with the signatures of a body, by name in lower case."""
    signatures = [f"v1={hmac.new(secret, body, 'sha256').hexdigest()}" for secret in secrets]
    return {"x-pagerduty-signature": ",".join(signatures)}


def encode(payload: dict[str, Any], secret: bytes = WEBHOOK_SECRET) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a request."""
    body = orjson.dumps(payload)
    return sign(body, secret) | {"content-type": "application/json", "user-agent": "PagerDuty-Webhook/V3.0"}, body
