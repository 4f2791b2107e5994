"""From a change that a publisher reports to deployments: the mapping of the settings, the subjects and the checks."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pipeline.decoding import describe_time_ahead
from pipeline.deployment_check import find_problems
from pipeline.step import OutputMessage
from pipeline.subject_rule import SubjectRule
from pipeline.webhooks.entries import parse_deployment_field
from pipeline.webhooks.request import WebhookRefused, WebhookRequest, WebhookResult
from pipeline.webhooks.settings import WebhookSettings
from pipeline.wording import one_line
from schemas.deployment import Deployment
from schemas.topics import DEPLOYMENTS


def report_change(settings: WebhookSettings, request: WebhookRequest, fields: Mapping[str, Any]) -> WebhookResult:
    """Return the deployments of one change, one message per subject.

    Parameters
    ----------
    fields
        What the publisher's payload means, by field of a deployment. The mapping of the settings takes precedence.

    Raises
    ------
    WebhookRefused
        If the fields are no valid deployment.
    """
    content = {name: value for name, value in fields.items() if value is not None}
    for text in settings.map:
        entry = parse_deployment_field(text)
        found = entry.source.find(request.payload)
        if found is not None:
            content[entry.field] = [found] if entry.field == "expect_shift" and isinstance(found, str) else found
    content |= settings.constants
    if isinstance(content.get("expect_shift"), str):
        content["expect_shift"] = [content["expect_shift"]]
    if settings.subjects:
        subjects = _find_subjects(settings, request.payload)
        if not subjects:
            return WebhookResult(ignored="the subject_table of the webhook has no subject for this change")
        content["subject"] = subjects
    elif not (content.get("environment") or content.get("provider")):
        raise WebhookRefused(400, "the change names no environment: set subjects, or map a source to environment")
    return _build_result(content, request.now_ms)


def require_text(payload: Mapping[str, Any], *names: str) -> str:
    """Return the text or whole number at a path of keys, as text. A missing one is refused."""
    found: Any = payload
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, (str, int)) or found == "":
        raise WebhookRefused(400, f"the payload has no {'.'.join(names)}, or it is neither text nor a whole number")
    return str(found)


def find_object(payload: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return the object at a path of keys, or an empty object if there is none."""
    found: Any = payload
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _find_subjects(settings: WebhookSettings, payload: dict[str, Any]) -> list[str]:
    subjects: list[str] = []
    for text in settings.subjects:
        value = SubjectRule(text).build(payload)
        if value is None:
            raise WebhookRefused(
                400, f'the subject "{text}" has a source that is missing, or is neither text nor a whole number'
            )
        subjects += settings.subject_table.get(value, ()) if settings.subject_table else (value,)
    return subjects


def _build_result(content: Mapping[str, Any], now_ms: int) -> WebhookResult:
    try:
        deployments = Deployment.read(content)
    except ValidationError as error:
        raise WebhookRefused(400, f"not a valid deployment: {one_line(error)}") from None
    first = deployments[0]
    ahead = describe_time_ahead("the time of the change", first.timestamp, now_ms)
    if problems := [*([ahead] if ahead else []), *find_problems(first)]:
        raise WebhookRefused(400, "; ".join(problems))
    warnings = [] if first.kind_original is None else ["the kind is unknown and was read as other"]
    outputs = [
        OutputMessage(DEPLOYMENTS, deployment.deployment_id.encode(), deployment.to_json())
        for deployment in deployments
    ]
    return WebhookResult(outputs, warnings=warnings)
