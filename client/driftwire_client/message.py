"""Messages as JSON, in the form of driftwire's contracts."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from driftwire_client.fields import SECTIONS, DeploymentFields, OutcomeFields, RecordFields

SUBJECT_LENGTH_MAX = 200

MAPPINGS = ("versions", "segment", "custom")

Warn = Callable[[str], None]
"""Reports what was left out. It gets the name of a field, never a value."""


class UnusableMessage(ValueError):
    """A message cannot be sent. The text names the field, never its value."""


def encode_record(
    fields: Mapping[str, Any], defaults: Mapping[str, Any], now_ms: int, warn: Warn
) -> tuple[bytes, bytes]:
    """Return key and value of the record of a request.

    Parameters
    ----------
    fields
        Fields by name. None means absent. Unknown names are left out.
    defaults
        Labels of all records. Versions and segment are merged with those of the record.
    now_ms
        Timestamp (Unix ms) of a record that has none.
    warn
        Is called for each unknown name.

    Raises
    ------
    UnusableMessage
        If there is no usable subject.
    ValueError, TypeError, RecursionError
        If a value is nested in itself.

    >>> encode_record({"latency_ms": 812, "refused": None}, {"subject": "support-bot"}, 1795489920123, print)
    (b'support-bot', b'{"subject":"support-bot","timestamp":1795489920123,"infrastructure":{"latency_ms":812}}')
    """
    record = _build_record(
        fields, {"subject": None, "timestamp": now_ms, **defaults}, RecordFields.__annotations__, warn
    )
    if "request_id" in record and "infrastructure" not in record:
        # Without any field of the infrastructure, a record with a request id would be read as a late outcome.
        record["infrastructure"] = {"error": None}
    return _encode_for_subject(record)


def encode_outcome(
    fields: Mapping[str, Any], defaults: Mapping[str, Any], now_ms: int, warn: Warn
) -> tuple[bytes, bytes]:
    """Return key and value of a late outcome. Parameters and errors are those of :func:`encode_record`.

    >>> encode_outcome({"request_id": "r-81", "thumbs_down": True}, {"subject": "support-bot"}, 1795489920123, print)[1]
    b'{"subject":"support-bot","timestamp":1795489920123,"request_id":"r-81","output":{"thumbs_down":true}}'
    """
    known = {**OutcomeFields.__annotations__, "request_id": None}
    record = _build_record(fields, {"subject": None, "timestamp": now_ms, **defaults}, known, warn)
    if "request_id" not in record:
        raise UnusableMessage("an outcome needs a request_id")
    return _encode_for_subject(record)


def encode_deployment(
    fields: Mapping[str, Any], defaults: Mapping[str, Any], now_ms: int, warn: Warn
) -> tuple[bytes, bytes]:
    """Return key and value of a deployment. Parameters and errors are those of :func:`encode_record`.

    The default subject is used if the deployment has no subject, environment and provider.
    """
    deployment = {"deployment_id": f"deploy-{uuid4().hex}", "timestamp": now_ms}
    for name, value in fields.items():
        if name not in DeploymentFields.__annotations__:
            warn(name)
        elif value is not None:
            deployment[name] = value
    if not any(name in deployment for name in ("subject", "environment", "provider")):
        if "subject" not in defaults:
            raise UnusableMessage("a deployment needs a subject, an environment or a provider")
        deployment["subject"] = defaults["subject"]
    return str(deployment["deployment_id"]).encode(), _encode(deployment)


def _build_record(
    fields: Mapping[str, Any], record: dict[str, Any], known: Mapping[str, Any], warn: Warn
) -> dict[str, Any]:
    for name, value in fields.items():
        if name not in known:
            warn(name)
        elif value is None:
            continue
        elif (section := SECTIONS.get(name)) is not None:
            record.setdefault(section, {})[name] = value
        elif name in MAPPINGS and isinstance(value, Mapping):
            record[name] = {**record.get(name, {}), **value}
        else:
            record[name] = value
    return record


def _encode_for_subject(record: dict[str, Any]) -> tuple[bytes, bytes]:
    subject = record.get("subject")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_LENGTH_MAX:
        raise UnusableMessage(f"subject must be text of 1 to {SUBJECT_LENGTH_MAX} characters")
    return subject.encode(), _encode(record)


def _encode_other(value: Any) -> Any:
    """Return a value that JSON does not have as one that it has."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):  # numbers and arrays of numpy, torch and others
        return value.tolist()
    # driftwire drops an empty object and counts the field as unusable. The text of an unknown object may be private.
    return {}


_ENCODER = json.JSONEncoder(separators=(",", ":"), skipkeys=True, default=_encode_other)


def _encode(message: Mapping[str, Any]) -> bytes:
    return _ENCODER.encode(message).encode()
