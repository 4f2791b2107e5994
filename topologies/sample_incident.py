"""A sample incident, for tests of routes and receivers and for simulations."""

from typing import Any

from schemas.incident import Incident


def sample_incident(text: str, at: int, **fields: Any) -> Incident:
    """Return the first revision of a P4 without evidence.

    Parameters
    ----------
    text
        What the incident is, for every text of it.
    at
        Every time of it, in Unix ms.
    **fields
        Fields of the incident with other values.
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
