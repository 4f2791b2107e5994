"""What people do in PagerDuty becomes commands."""

import contextlib
import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from pipeline.step import RawMessage
from pipeline.webhooks import WebhookRefused, WebhookResult, WebhookSettings, read_webhook
from schemas.command import Command
from schemas.incident import Incident
from schemas.topics import ALERTS, COMMANDS
from tests.pipeline.correlate.builders import drift, kafka, only
from tests.pipeline.webhooks.pagerduty_events import (
    ANA,
    BEN,
    INTEGRATION,
    TITLE,
    WEBHOOK_SECRET,
    encode,
    event,
    incident_data,
    note_data,
    reference,
    sign,
)

NOW_MS = 1_795_490_400_000
SETTINGS = WebhookSettings(kind="pagerduty", secrets=["${PAGERDUTY_WEBHOOK_SECRET}"])
SERVICE = {"id": "PF9KMXH", "type": "service", "summary": "Support bot"}
PING = {"message": "Hello from your friend Pagey!", "type": "ping"}


def receive(payload: dict[str, Any], now_ms: int = NOW_MS) -> WebhookResult:
    headers, body = encode(payload)
    return read_webhook(SETTINGS, [WEBHOOK_SECRET], headers, body, now_ms)


def commands(payload: dict[str, Any], now_ms: int = NOW_MS) -> list[Command]:
    result = receive(payload, now_ms)
    assert (result.ignored is None) == bool(result.outputs)
    assert {output.topic for output in result.outputs} <= {COMMANDS}
    read = [Command.from_json(output.value or b"") for output in result.outputs]
    assert [output.key for output in result.outputs] == [(command.incident_id or "").encode() for command in read]
    return read


@pytest.mark.parametrize(
    ("event_type", "data", "expected"),
    [
        ("incident.acknowledged", {"status": "acknowledged"}, {"action": "acknowledge"}),
        ("incident.unacknowledged", {}, {"action": "unacknowledge"}),
        ("incident.resolved", {"status": "resolved"}, {"action": "resolve"}),
        ("incident.reopened", {}, {"action": "reopen"}),
        ("incident.reassigned", {"assignees": [BEN]}, {"action": "assign", "assignee": "Ben Brandt"}),
        ("incident.delegated", {"assignees": [BEN]}, {"action": "assign", "assignee": "Ben Brandt"}),
        ("incident.escalated", {"assignees": [BEN]}, {"action": "assign", "assignee": "Ben Brandt"}),
        (
            "incident.reassigned",
            {"assignees": [BEN, ANA]},
            {"action": "assign", "assignee": "Ben Brandt", "note": "in PagerDuty, with Ana Alves"},
        ),
        (
            "incident.priority_updated",
            {"priority": reference("priority", "PSO75BN", "P2")},
            {"action": "classify", "severity": "P2"},
        ),
    ],
)
def test_what_a_person_does_is_a_command_of_that_person(event_type, data, expected):
    (command,) = commands(event(event_type, incident_data(**data)))
    assert (
        command.model_dump(exclude_none=True, exclude_defaults=True)
        == {
            "command_id": "pagerduty:5ac64822-4adc-4fda-ade0-410becf0de4f:inc-3f9a21c0b7",
            "at": 1_795_490_050_169,
            "author": "Ana Alves",
            "incident_id": "inc-3f9a21c0b7",
            "note": "in PagerDuty",
        }
        | expected
    )


def test_a_note_is_a_note_of_the_incident_that_it_refers_to():
    (command,) = commands(event("incident.annotated", note_data("The index was rebuilt.")))
    assert (command.action, command.author, command.incident_id) == ("note", "Ana Alves", "inc-3f9a21c0b7")
    assert command.note == "The index was rebuilt."


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (event("incident.triggered", agent=INTEGRATION), "no person"),
        (event("incident.acknowledged", agent=INTEGRATION), "no person"),
        (event("incident.resolved", agent=INTEGRATION), "no person"),
        (event("incident.resolved", agent=None), "no person"),
        (event("incident.escalated", agent=None), "no person"),
        (event("incident.annotated", note_data("by a workflow"), agent=None), "no person"),
        (event("incident.triggered"), "no command"),
        (event("incident.responder.added", incident_data(type="incident_responder")), "no command"),
        (event("incident.conference_bridge.updated"), "no command"),
        (event("incident.annotated", note_data(" ")), "the note is empty"),
        (event("incident.reassigned", incident_data(assignees=[])), "assigned to nobody"),
        (event("incident.priority_updated", incident_data(priority=None)), "none of P1"),
        (event("incident.priority_updated", incident_data(priority={"summary": "SEV-1"})), "none of P1"),
        (event("incident.acknowledged", incident_data(title="The disk is full")), "does not end with the id"),
        (event("incident.acknowledged", incident_data(title="P1 a test (test-0c1f5a7b2e94)")), "does not end with"),
        (event("incident.annotated", note_data("text", title="The disk is full")), "does not end with the id"),
        (event("service.updated", SERVICE, agent=None, client=None), "not about an incident"),
        (event("pagey.ping", PING, agent=None, client=None), "not about an incident"),
    ],
)
def test_other_events_are_ignored_with_a_reason(payload, reason):
    result = receive(payload)
    assert result.outputs == []
    assert reason in (result.ignored or "")


def test_an_incident_that_was_merged_in_pagerduty_is_not_resolved():
    merged = {"type": "merge_resolve_reason", "incident": reference("incident", "Q0N5RRK7RT1Q46", "another")}
    assert "merged" in (receive(event("incident.resolved", incident_data(resolve_reason=merged))).ignored or "")


@pytest.mark.parametrize("agent", [None, INTEGRATION])
def test_an_acknowledgement_that_ends_by_itself_is_withdrawn_by_nobody(agent):
    (command,) = commands(event("incident.unacknowledged", agent=agent))
    assert (command.action, command.author) == ("unacknowledge", "PagerDuty")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"title": "Bot leaks (inc-1a) (inc-2b)"}, ["inc-2b"]),
        ({"title": "2 incidents (inc-1a, inc-2b, inc-1a)"}, ["inc-1a", "inc-2b"]),
        ({"title": "[EU] Bot leaks (inc-1a), see #ops"}, ["inc-1a"]),
        ({"title": "renamed by a person", "incident_key": "inc-3c"}, ["inc-3c"]),
        ({"title": "2 incidents (inc-1a, inc-2b)", "incident_key": "group-0f"}, ["inc-1a", "inc-2b"]),
    ],
)
def test_the_title_or_the_key_leads_to_the_incidents(data, expected):
    written = commands(event("incident.acknowledged", incident_data(**data)))
    assert [command.incident_id for command in written] == expected
    assert len({command.command_id for command in written}) == len(expected)


def test_the_name_of_a_person_is_plain_text_of_limited_length():
    agent = ANA | {"summary": "Eve\u202e\n" + "x" * 300}
    (command,) = commands(event("incident.acknowledged", agent=agent))
    assert command.author == ("Eve\ufffd " + "x" * 300)[:200]
    (command,) = commands(event("incident.acknowledged", agent=ANA | {"summary": None}))
    assert command.author == "a person"


def test_the_longest_note_and_the_longest_list_of_assignees_fit():
    (command,) = commands(event("incident.annotated", note_data("x" * 25_000)))
    assert len(command.note or "") == 2000
    assignees = [BEN | {"summary": f"{number} {'x' * 190}"} for number in range(50)]
    (command,) = commands(event("incident.reassigned", incident_data(assignees=assignees)))
    assert len(command.note or "") == 2000


def test_a_clock_of_pagerduty_that_is_ahead_gives_the_time_of_arrival():
    assert [command.at for command in commands(event("incident.acknowledged"), now_ms=NOW_MS - 3_600_000)] == [
        NOW_MS - 3_600_000
    ]


@pytest.mark.parametrize(
    ("signed_with", "secrets"),
    [
        ([WEBHOOK_SECRET], [WEBHOOK_SECRET]),
        ([b"new", WEBHOOK_SECRET], [WEBHOOK_SECRET]),
        ([WEBHOOK_SECRET], [b"new", WEBHOOK_SECRET]),
        ([b"old", WEBHOOK_SECRET], [WEBHOOK_SECRET, b"newest"]),
    ],
)
def test_any_current_secret_proves_the_sender(signed_with, secrets):
    body = orjson.dumps(event("incident.acknowledged"))
    assert read_webhook(SETTINGS, secrets, sign(body, *signed_with), body, NOW_MS).outputs


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-pagerduty-signature": ""},
        {"x-pagerduty-signature": "v1="},
        sign(orjson.dumps(event("incident.acknowledged")), b"another secret"),
        sign(orjson.dumps(event("incident.resolved")), WEBHOOK_SECRET),
        {name: value.replace("v1=", "v0=") for name, value in encode(event("incident.acknowledged"))[0].items()},
        {name: value.replace("v1=", "") for name, value in encode(event("incident.acknowledged"))[0].items()},
        {"x-pagerduty-signature": "v1=é\udcff"},
    ],
)
def test_a_request_without_a_valid_signature_is_refused(headers):
    body = orjson.dumps(event("incident.acknowledged"))
    with pytest.raises(WebhookRefused) as refused:
        read_webhook(SETTINGS, [WEBHOOK_SECRET], headers, body, NOW_MS)
    assert refused.value.status == 401
    assert WEBHOOK_SECRET.decode() not in refused.value.message


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"event": None},
        {"event": []},
        event("incident.acknowledged", id=None),
        event("incident.acknowledged", id=""),
        event("incident.acknowledged", id="x" * 300),
        event("incident.acknowledged", event_type=7.5),
        event("incident.acknowledged", occurred_at=None),
        event("incident.acknowledged", occurred_at="yesterday"),
        event("incident.acknowledged", occurred_at="0001-01-01T00:00:00Z"),
    ],
)
def test_a_payload_that_cannot_be_used_is_refused_without_repeating_it(payload):
    with pytest.raises(WebhookRefused) as refused:
        receive(payload)
    assert refused.value.status == 400
    assert "yesterday" not in refused.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([TITLE, "user_reference"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)
EVENT_TYPES = st.sampled_from(
    [f"incident.{name}" for name in ("acknowledged", "reassigned", "resolved", "annotated", "priority_updated")]
)


@given(
    EVENT_TYPES,
    st.dictionaries(st.sampled_from(["id", "event_type", "occurred_at", "agent", "data"]), JSON),
    st.dictionaries(st.sampled_from([*incident_data(), "incident", "content"]), JSON),
)
def test_any_payload_is_used_ignored_or_refused(event_type, changes, data):
    payload = event(event_type, incident_data(**data), **changes)
    try:
        body = orjson.dumps(payload)
    except TypeError:  # an integer or a surrogate that orjson does not write
        return
    with contextlib.suppress(WebhookRefused):
        result = read_webhook(SETTINGS, [WEBHOOK_SECRET], sign(body, WEBHOOK_SECRET), body, NOW_MS)
        assert (result.ignored is None) == bool(result.outputs)
        assert all(Command.from_json(output.value or b"").author for output in result.outputs)


@pytest.mark.parametrize(
    "fields", [{"subjects": ["support-bot"]}, {"map": ["a=to_version"]}, {"constants": {"kind": "x"}}]
)
def test_settings_of_deployments_are_refused(fields):
    with pytest.raises(ValidationError, match="makes commands and no deployments"):
        WebhookSettings(kind="pagerduty", secrets=["secret"], **fields)


OPENED = drift()
INCIDENT_ID = only(OPENED).incident_id


def live(*events: tuple[str, str, int]) -> Incident:
    """The newest revision after events of the form (type, id, minute) have arrived in this order."""
    step = CorrelateStep(CorrelateSettings())
    outputs = step.step(kafka([OPENED]))
    for offset, (name, identifier, minute) in enumerate(events):
        data = incident_data(title=f"P3 (…) ({INCIDENT_ID})", assignees=[BEN])
        payload = event(f"incident.{name}", data, id=identifier, occurred_at=f"2026-11-24T03:{minute}:00Z", agent=ANA)
        (written,) = receive(payload).outputs
        message = RawMessage(written.topic, 0, offset, NOW_MS, written.key, written.value)
        outputs = [*outputs, *step.step([message])]
    return [Incident.from_json(output.value or b"") for output in outputs if output.topic == ALERTS][-1]


def test_an_acknowledged_incident_shows_who_acknowledged_it():
    incident = live(("acknowledged", "e1", 14))
    assert (incident.status, incident.acknowledged_by) == ("acknowledged", "Ana Alves")
    assert incident.log[-1].text == "acknowledged by Ana Alves: in PagerDuty"


def test_an_event_that_is_delivered_again_or_replayed_changes_nothing():
    once = [("acknowledged", "e1", 14), ("unacknowledged", "e2", 15)]
    assert live(*once, ("acknowledged", "e1", 14)) == live(*once)


@pytest.mark.parametrize(
    "order",
    list(itertools.permutations([("acknowledged", "e1", 14), ("unacknowledged", "e2", 15), ("reassigned", "e3", 16)])),
)
def test_events_in_any_order_lead_to_the_same_status(order):
    incident = live(*order)
    assert (incident.status, incident.acknowledged_by, incident.commander) == ("open", None, "Ben Brandt")


@pytest.mark.parametrize("order", list(itertools.permutations([("resolved", "e1", 14), ("reopened", "e2", 16)])))
def test_a_reopened_incident_is_open_even_if_its_resolution_arrives_last(order):
    assert live(*order).status == "open"


def test_a_resolution_that_arrives_after_the_incident_was_reopened_changes_nothing():
    incident = live(("resolved", "e1", 14), ("reopened", "e3", 16), ("resolved", "e2", 15))
    assert incident.status == "open"
