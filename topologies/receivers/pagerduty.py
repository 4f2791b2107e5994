"""PagerDuty receiver that triggers, acknowledges and resolves an alert per incident or group, and sends deployments.

Source: PagerDuty, Events API v2: "Send an Alert Event" and "Send a Change Event" for the events, and the overview for the
answers and limits.
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import orjson

from pipeline.correlate.deployments import describe_change
from pipeline.incident_reference import write_reference
from pipeline.plain_text import plain_text
from pipeline.route import Delivery, Dispatch, NoticeDispatch
from pipeline.route.receiver_settings import PagerDutySettings
from schemas.incident import CLOSED, Incident, Severity
from schemas.notice import DeploymentChange
from schemas.timestamp import format_timestamp
from topologies.messages import IncidentMessage, write_message
from topologies.receivers.http import HttpAnswer, HttpClient
from topologies.receivers.secret import SecretUnavailable, read_secret

EVENT_BYTES_MAX = 512_000
"""Maximum size of an event, in bytes."""

SUMMARY_LENGTH_MAX = 1024
"""Maximum number of characters in the summary of an alert, which PagerDuty shows as its title."""

REFUSAL_LENGTH_MAX = 300
"""Maximum number of characters of an answer that are repeated in a reason."""

DETAIL_LIMITS = ((10_000, 50_000), (500, 2000), (50, 1000), (5, 300))
"""Maximum number of lines in a detail, and of characters in a line. The first pair with which the event fits is used."""

ITEMS_MAX = 100
"""Maximum number of subjects or signals in a change event."""

CLIENT = "driftwire"

SEVERITIES: dict[Severity, str] = {"P1": "critical", "P2": "error", "P3": "warning", "P4": "info"}
"""Severity at PagerDuty of each severity."""


class PagerDutyReceiver:
    """Receiver that sends alert events. A repeat has the same deduplication key, so it changes nothing.

    Parameters
    ----------
    settings
        Settings of the service at PagerDuty.
    client
        Client for the requests.
    clock
        The wall clock, in Unix seconds.
    """

    def __init__(self, settings: PagerDutySettings, client: HttpClient, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Send the events of the alert once, in order, up to the first that is not accepted."""
        return await self._send("v2/enqueue", lambda key: build_events(dispatch, key), dispatch.reason.text)

    async def deliver_notice(self, dispatch: NoticeDispatch) -> Delivery:
        """Send the change event of the deployment once."""
        change = cast(DeploymentChange, dispatch.content)
        return await self._send(
            "v2/change/enqueue", lambda key: [build_change_event(change, key)], dispatch.reason.text
        )

    async def _send(self, path: str, build: Callable[[str], list[bytes]], reason: str) -> Delivery:
        try:
            key = read_secret(self._settings.routing_key, self._settings.routing_key_file, "routing_key")
        except SecretUnavailable as error:
            return Delivery("retry", str(error), 1)
        url = f"{self._settings.url.rstrip('/')}/{path}"
        for event in build(key):
            answer = await self._client.request("POST", url, {"Content-Type": "application/json"}, event)
            if not isinstance(answer, HttpAnswer):
                return answer
            if not answer.is_success:
                return answer.failure(_describe_refusal(answer.json(), key))
        return Delivery("sent", reason, 1, sent_at=int(self._clock() * 1000))


def build_events(dispatch: Dispatch, routing_key: str) -> list[bytes]:
    """Return the events that bring the alert of an incident or group to its state, as JSON of at most :data:`EVENT_BYTES_MAX`.

    PagerDuty drops the acknowledgement of an alert that it does not know, and only a trigger can change the severity of
    an alert. Therefore an acknowledged incident is triggered first. This notifies nobody if the alert is acknowledged
    already.
    The alert of a group is resolved when all its incidents are over, and acknowledged when all open ones are.
    """
    still_open = dispatch.still_open
    head = {"routing_key": routing_key, "dedup_key": dispatch.thread_id}
    if not still_open:
        return [orjson.dumps({**head, "event_action": "resolve"})]
    events = [_trigger(dispatch, head)]
    if all(state.status == "acknowledged" for state in still_open):
        events.append(orjson.dumps({**head, "event_action": "acknowledge"}))
    return events


def build_change_event(change: DeploymentChange, routing_key: str) -> bytes:
    """Return the change event of a deployment, as JSON. It is always smaller than :data:`EVENT_BYTES_MAX`."""
    deployment = change.deployment
    scope = _list(change.subjects, 3) or deployment.environment or deployment.provider or "everything"
    text = f": {deployment.summary}" if deployment.summary else ""
    details = {
        "Deployment": deployment.deployment_id,
        "Kind": deployment.kind_original or deployment.kind,
        "Name": deployment.name,
        "From version": deployment.from_version,
        "To version": deployment.to_version,
        "Subjects": _list(change.subjects, ITEMS_MAX),
        "Environment": deployment.environment,
        "Provider": deployment.provider,
        "Reverts": deployment.rollback_of,
        "Expected shift": _list(deployment.expect_shift, ITEMS_MAX),
        "Author": deployment.author,
    }
    payload = {
        "summary": _shorten(f"{describe_change(deployment)} for {scope}{text}", SUMMARY_LENGTH_MAX),
        "source": plain_text(scope),
        "timestamp": format_timestamp(deployment.timestamp),
        "custom_details": {label: plain_text(value) for label, value in details.items() if value},
    }
    return orjson.dumps({"routing_key": routing_key, "payload": payload})


def _list(names: Sequence[str], items_max: int) -> str:
    """Return names separated by commas.

    >>> _list(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = len(names) - items_max
    return ", ".join(names[:items_max]) + (f" and {more} more" if more > 0 else "")


def _trigger(dispatch: Dispatch, head: dict[str, str]) -> bytes:
    incident, message = dispatch.incidents[0], write_message(dispatch)
    summary = f"{incident.severity} {incident.title}: {incident.summary}"
    # PagerDuty's webhooks repeat the summary.
    reference = write_reference(one.incident_id for one in dispatch.incidents if one.status not in CLOSED)
    text = message.headline if dispatch.is_about_several else summary
    payload: dict[str, Any] = {
        "summary": _shorten(text, SUMMARY_LENGTH_MAX - len(reference)) + reference,
        "source": plain_text(incident.subject),
        "severity": SEVERITIES[dispatch.still_open[0].severity],
        "timestamp": format_timestamp(incident.started_at),
        "class": plain_text(incident.failure_mode),
    }
    if incident.provider is not None:
        payload["component"] = plain_text(incident.provider)
    if incident.environment is not None:
        payload["group"] = plain_text(incident.environment)
    event: dict[str, Any] = {**head, "event_action": "trigger", "payload": payload, "client": CLIENT}
    if message.links:
        event["links"] = [{"href": link.url, "text": link.label} for link in message.links]
    details: dict[str, list[str]] = {}
    for label, lines in _details(incident, message):
        if any(lines):  # the message of a group has several facts with the same label
            details.setdefault(label, []).extend(plain_text(line) for line in lines)
    body = b""
    for lines_max, length_max in DETAIL_LIMITS:
        payload["custom_details"] = _limit_details(
            details, lines_max, length_max, shlex.quote(plain_text(incident.incident_id))
        )
        body = orjson.dumps(event)
        if len(body) <= EVENT_BYTES_MAX:
            break
    return body


def _details(incident: Incident, message: IncidentMessage) -> Iterator[tuple[str, list[str]]]:
    """Yield the details by label, each as lines: those of every message, and what only a page of details has room for."""
    yield "News", [message.news]
    for fact in message.facts:
        yield fact.label, [fact.text]
    yield "Severity", [f"{incident.severity} by rule {incident.severity_rule}: {incident.severity_reason}"]
    yield "Actions", [f"{action.text}{f': {action.command}' if action.command else ''}" for action in message.actions]
    suspects = sorted(incident.suspects, key=lambda suspect: suspect.rank)
    yield "Suspects", [f"{cause.name}, score {cause.score:.2f}: {cause.reason}" for cause in suspects]
    yield "Evidence", [drift.sentence for drift in incident.evidence]


def _limit_details(details: dict[str, list[str]], lines_max: int, length_max: int, incident_id: str) -> dict[str, str]:
    """Return the details as texts within limits, with a note about omitted lines."""
    limited, missing = {}, []
    for name, lines in details.items():
        kept = lines[:lines_max]
        limited[name] = "\n".join(_shorten(line, length_max) for line in kept)
        if len(kept) < len(lines):
            missing.append(f"{len(lines) - len(kept)} of {len(lines)} lines of {name}")
        if any(len(line) > length_max for line in kept):
            missing.append(f"the end of long lines of {name}")
    if missing:
        limited["Left out"] = (
            f"{', '.join(missing)}, because the event would be too large: driftwire incident show {incident_id}"
        )
    return limited


def _shorten(text: str, length_max: int) -> str:
    """Return a text from records as one plain line of at most a number of characters.

    >>> _shorten("refuses 9.1 % of requests", 12)
    'refuses 9.1…'
    """
    line = plain_text(text)
    return line if len(line) <= length_max else f"{line[: length_max - 1].rstrip()}…"


def _describe_refusal(answer: Any, routing_key: str) -> str:
    """Return PagerDuty's message and errors as one line without the routing key, or nothing if there are none.

    >>> _describe_refusal({"message": "Event object is invalid", "errors": ["no summary"]}, "key")
    'Event object is invalid: no summary'
    """
    if not isinstance(answer, dict):
        return ""
    message, errors = answer.get("message"), answer.get("errors")
    reasons = [error for error in errors if isinstance(error, str)] if isinstance(errors, list) else []
    parts = [message if isinstance(message, str) else "", ", ".join(reasons)]
    return _shorten(": ".join(filter(None, parts)).replace(routing_key, "..."), REFUSAL_LENGTH_MAX)
