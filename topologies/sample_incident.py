"""A sample incident for simulations and for tests of routes and receivers."""

from typing import Any

from schemas.incident import Incident


def sample_incident(text: str, at: int, **fields: Any) -> Incident:
    """Return the first revision of a P4 without evidence.

    Parameters
    ----------
    text
        Value of every text field.
    at
        Value of every time field, in Unix ms.
    **fields
        Values of single fields. They override the other two parameters.
    """
    defaults: dict[str, Any] = {
        "incident_id": "sample",
        "revision": 1,
        "status": "open",
        "severity": "P4",
        "severity_rule": "sample",
        "severity_reason": text,
        "failure_mode": "sample",
        "subject": "sample",
        "title": text,
        "summary": text,
        "started_at": at,
        "detected_at": at,
        "detection_gap_s": 0.0,
        "updated_at": at,
        "evidence": [],
        "runbook": text,
        "change": text,
    }
    return Incident.model_validate(defaults | fields)
