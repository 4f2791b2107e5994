"""PagerDuty, webhooks V3: what a person does there with the incident of an alert becomes a command.

The title of PagerDuty's incident is the summary of the alert and ends with the ids of driftwire's incidents. The events
carry neither the deduplication key nor the details of the alert. Their ``incident_key`` is null, except for services that
create no alerts.

An event whose agent is not a user is automatic. It comes from a rule of PagerDuty, or from an event that driftwire itself
has sent. Only the end of an acknowledgement counts then: it lets driftwire call further people again.

Sources: https://developer.pagerduty.com/docs/webhooks-overview,
https://developer.pagerduty.com/docs/verifying-signatures, https://support.pagerduty.com/docs/webhooks,
https://support.pagerduty.com/docs/alerts (titles), https://github.com/PagerDuty/pdpyras/issues/44 (keys)
"""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError

from pipeline.incident_reference import read_reference
from pipeline.plain_text import plain_text
from pipeline.step import OutputMessage
from pipeline.webhooks.publishers.changes import find_object, require_text
from pipeline.webhooks.request import WebhookRefused, WebhookRequest, WebhookResult
from pipeline.webhooks.settings import WebhookSettings
from pipeline.wording import one_line
from schemas.command import NOTE_LENGTH_MAX, Command
from schemas.incident import Severity
from schemas.record import SUBJECT_LENGTH_MAX
from schemas.timestamp import parse_timestamp
from schemas.topics import COMMANDS

AUTOMATIC_AUTHOR = "PagerDuty"
"""Author of a command that no person caused."""

_WHERE = "in PagerDuty"
_MERGED = "merge_resolve_reason"


def read_pagerduty(settings: WebhookSettings, request: WebhookRequest) -> WebhookResult:
    """Return the commands of an event, one for each incident that the title names."""
    del settings
    event = find_object(request.payload, "event")
    event_type, event_id = require_text(event, "event_type"), require_text(event, "id")
    if not event_type.startswith("incident."):
        return WebhookResult(ignored="the event is not about an incident")
    incident_ids = _find_incident_ids(find_object(event, "data"))
    if not incident_ids:
        return WebhookResult(ignored="the title of the incident does not end with the id of an incident of driftwire")
    person = _find_person(event.get("agent"))
    if person is None and event_type != "incident.unacknowledged":
        return WebhookResult(ignored="no person did this: it was automatic, or driftwire sent it")
    fields = _read_action(event_type, find_object(event, "data"))
    if isinstance(fields, str):
        return WebhookResult(ignored=fields)
    common = {"at": _read_time(event, request.now_ms), "author": person or AUTOMATIC_AUTHOR, "note": _WHERE, **fields}
    return WebhookResult(
        [
            _write_command({**common, "command_id": f"pagerduty:{event_id}:{incident_id}", "incident_id": incident_id})
            for incident_id in incident_ids
        ]
    )


def _find_incident_ids(data: Mapping[str, Any]) -> list[str]:
    """Return the ids of driftwire's incidents. The data of a note refer to its incident, with the title as summary."""
    texts = (f"({data.get('incident_key')})", data.get("title"), find_object(data, "incident").get("summary"))
    references = (read_reference(text) for text in texts if isinstance(text, str))
    return next(filter(None, references), [])


def _find_person(agent: Any) -> str | None:
    if not isinstance(agent, Mapping) or agent.get("type") not in ("user_reference", "user"):
        return None
    return _read_name(agent) or "a person"


def _read_name(reference: Any) -> str:
    """Return the name of a user as PagerDuty shows it, or an empty string."""
    name = reference.get("summary") if isinstance(reference, Mapping) else None
    return plain_text(name).strip()[:SUBJECT_LENGTH_MAX] if isinstance(name, str) else ""


def _read_action(event_type: str, data: Mapping[str, Any]) -> dict[str, str] | str:
    """Return the fields of the command that an event stands for, or the reason why there is none."""
    match event_type:
        case "incident.acknowledged":
            return {"action": "acknowledge"}
        case "incident.unacknowledged":
            return {"action": "unacknowledge"}
        case "incident.resolved" if find_object(data, "resolve_reason").get("type") == _MERGED:
            return "the incident was merged into another one in PagerDuty, which says nothing about its end"
        case "incident.resolved":
            return {"action": "resolve"}
        case "incident.reopened":
            return {"action": "reopen"}
        case "incident.reassigned" | "incident.delegated" | "incident.escalated":
            return _read_assignment(data)
        case "incident.priority_updated":
            priority = find_object(data, "priority").get("summary")
            if not isinstance(priority, str) or priority not in get_args(Severity):
                return "the priority is none of P1, P2, P3 and P4"
            return {"action": "classify", "severity": priority}
        case "incident.annotated":
            return _read_note(data)
    return "no command stands for this type of event"


def _read_assignment(data: Mapping[str, Any]) -> dict[str, str] | str:
    assignees = data.get("assignees")
    names = [name for one in assignees if (name := _read_name(one))] if isinstance(assignees, list) else []
    if not names:
        return "the incident is assigned to nobody"
    others = f", with {', '.join(names[1:])}" if len(names) > 1 else ""
    return {"action": "assign", "assignee": names[0], "note": f"{_WHERE}{others}"[:NOTE_LENGTH_MAX]}


def _read_note(data: Mapping[str, Any]) -> dict[str, str] | str:
    content = data.get("content")
    if not isinstance(content, str) or not content.strip():
        return "the note is empty"
    return {"action": "note", "note": content.strip()[:NOTE_LENGTH_MAX]}


def _read_time(event: Mapping[str, Any], now_ms: int) -> int:
    """Return the time of an event. A clock that is ahead must not make correlate refuse the command."""
    try:
        return min(parse_timestamp(event.get("occurred_at")), now_ms)
    except ValueError:
        raise WebhookRefused(400, "the payload has no event.occurred_at, or it is not a time") from None


def _write_command(fields: Mapping[str, Any]) -> OutputMessage:
    try:
        command = Command.model_validate(fields)
    except ValidationError as error:
        raise WebhookRefused(400, f"not a valid command: {one_line(error)}") from None
    return OutputMessage(COMMANDS, (command.incident_id or "").encode(), command.to_json())
