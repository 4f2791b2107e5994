import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.route.delivery import Delivery, Dispatch
from pipeline.route.notices import NoticeDispatch
from pipeline.route.reasons import Reason
from pipeline.route.receiver_settings import PagerDutySettings
from schemas.deployment import Deployment
from schemas.incident import Incident
from schemas.notice import DeploymentChange
from tests.pipeline.route.samples import STARTED, alert, evidence, incident, suspect
from tests.topologies.pagerduty_server import KEY, PagerDuty, run_pagerduty
from topologies.receivers.http import HttpClient
from topologies.receivers.pagerduty import EVENT_BYTES_MAX, PagerDutyReceiver, build_events

NOW_S = 1_795_489_961.0
NEW = Reason("first_notification", "new to the receiver: P3 open")


@pytest_asyncio.fixture
async def pagerduty() -> AsyncIterator[PagerDuty]:
    async with run_pagerduty() as running:
        yield running


def receiver(url: str, **settings: Any) -> PagerDutyReceiver:
    settings = {"routing_key": KEY} | settings
    return PagerDutyReceiver(
        PagerDutySettings(url=url, **settings), HttpClient(10.0, lambda: NOW_S), clock=lambda: NOW_S
    )


def dispatch(revision: Incident, reason: Reason = NEW) -> Dispatch:
    return Dispatch(revision, "pager", "urgent", reason, alert(revision), STARTED + 60_000)


async def deliver(pagerduty: PagerDuty, revision: Incident) -> Delivery:
    return await receiver(pagerduty.url).deliver(dispatch(revision))


def trigger(revision: Incident, reason: Reason = NEW) -> dict[str, Any]:
    return orjson.loads(build_events(dispatch(revision, reason), KEY)[0])


def details(revision: Incident) -> dict[str, str]:
    return trigger(revision)["payload"]["custom_details"]


async def test_an_open_incident_triggers_an_alert_that_says_what_to_do(pagerduty):
    suspects = [suspect(name="prompt v41 -> v42"), suspect(rank=2, kind="change", name="index refresh", score=0.2)]
    revision = incident(provider="modelhub", runbook="https://runbooks.example.org/refusal_spike.md", suspects=suspects)
    delivery = await deliver(pagerduty, revision)
    assert delivery == Delivery("sent", "new to the receiver: P3 open", 1, sent_at=int(NOW_S * 1000))
    (event,) = pagerduty.events
    assert event == {
        "routing_key": KEY,
        "dedup_key": "inc-3f9a21c0b7",
        "event_action": "trigger",
        "client": "driftwire",
        "links": [{"href": "https://runbooks.example.org/refusal_spike.md", "text": "Runbook"}],
        "payload": {
            "summary": f"P3 support-bot refuses 9.1 % of requests: {revision.summary} (inc-3f9a21c0b7)",
            "source": "support-bot",
            "severity": "warning",
            "timestamp": "2026-11-24T03:12:00.000Z",
            "class": "refusal_spike",
            "component": "modelhub",
            "group": "production",
            "custom_details": {
                "What": "refused 1.0 % -> 9.1 % (at detection)",
                "Since": "2026-11-24 03:12:00Z, detected 41 s later",
                "Suspected cause": "prompt v41 -> v42, deployed 03:11:40Z, 20 s before the start",
                "Scope": "production, modelhub",
                "Due": "classify by 03:27:41Z (nobody assigned); fix by 2026-11-25 03:12:41Z (nobody assigned)",
                "Incident": "inc-3f9a21c0b7, revision 1",
                "Severity": "P3 by rule quality_loss: users see the loss of quality, and the feature works",
                "Actions": "Acknowledge it: driftwire incident ack inc-3f9a21c0b7\n"
                "Roll back prompt v42 -> v41\nOr switch off support-bot",
                "Suspects": "prompt v41 -> v42, score 0.93: deployed 20 s before the start\n"
                "index refresh, score 0.20: deployed 20 s before the start",
                "Evidence": "refused rose",
            },
        },
    }


@pytest.mark.parametrize(
    ("severity", "expected"), [("P1", "critical"), ("P2", "error"), ("P3", "warning"), ("P4", "info")]
)
def test_each_severity_has_a_severity_of_pagerduty(severity, expected):
    assert trigger(incident(severity=severity))["payload"]["severity"] == expected


@pytest.mark.parametrize(
    ("status", "actions"),
    [
        ("open", ["trigger"]),
        ("acknowledged", ["trigger", "acknowledge"]),
        ("mitigated", ["trigger"]),
        ("resolved", ["resolve"]),
        ("merged", ["resolve"]),
    ],
)
async def test_the_status_selects_the_events(pagerduty, status, actions):
    assert (await deliver(pagerduty, incident(status=status))).outcome == "sent"
    assert [event["event_action"] for event in pagerduty.events] == actions
    assert {event["dedup_key"] for event in pagerduty.events} == {"inc-3f9a21c0b7"}


async def test_the_alert_follows_the_incident_and_notifies_once(pagerduty):
    life = [
        (incident(), "triggered", "warning"),
        (incident(revision=2, severity="P1"), "triggered", "critical"),
        (incident(revision=3, severity="P1", status="acknowledged", acknowledged_by="ana"), "acknowledged", "critical"),
        (incident(revision=4, severity="P2", status="acknowledged", acknowledged_by="ana"), "acknowledged", "error"),
        (incident(revision=5, severity="P2", status="mitigated"), "acknowledged", "error"),
    ]
    for revision, status, severity in life:
        assert (await deliver(pagerduty, revision)).outcome == "sent"
        assert (pagerduty.statuses[revision.incident_id], pagerduty.severities[revision.incident_id]) == (
            status,
            severity,
        )
    assert (await deliver(pagerduty, incident(revision=6, status="resolved"))).outcome == "sent"
    assert pagerduty.statuses == {}
    assert pagerduty.notified == ["inc-3f9a21c0b7"]


async def test_an_incident_that_was_acknowledged_before_its_first_notification_is_not_dropped(pagerduty):
    await deliver(pagerduty, incident(severity="P1", status="acknowledged", acknowledged_by="ana"))
    assert pagerduty.statuses == {"inc-3f9a21c0b7": "acknowledged"}


async def test_an_acknowledgement_is_not_sent_after_a_refused_trigger(pagerduty):
    pagerduty.answers = [web.Response(status=500)]
    delivery = await deliver(pagerduty, incident(status="acknowledged"))
    assert (delivery.outcome, pagerduty.events) == ("retry", [])


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_an_overloaded_server_is_tried_again_after_its_pause(pagerduty, status):
    pagerduty.answers = [web.Response(status=status, headers={"Retry-After": "7"})]
    delivery = await deliver(pagerduty, incident())
    assert delivery == Delivery("retry", f"{pagerduty.url} answered {status}", 1, retry_after_s=7.0)


async def test_a_refusal_is_final_and_repeats_what_pagerduty_says_without_the_key(pagerduty):
    answer = {
        "status": "invalid event",
        "message": "Event object is invalid",
        "errors": [f"{KEY} is\nunknown", "x" * 999],
    }
    pagerduty.answers = [web.json_response(answer, status=400)]
    delivery = await deliver(pagerduty, incident())
    assert delivery.outcome == "failed"
    start = f"{pagerduty.url} answered 400 (Event object is invalid: ... is unknown, xxx"
    assert delivery.reason.startswith(start)
    assert delivery.reason.endswith("x…), which a retry would not change")
    assert len(delivery.reason) < 450


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message": 5, "errors": {}}', b'{"errors": [{}]}'])
async def test_a_refusal_without_a_reason_is_final_too(pagerduty, body):
    pagerduty.answers = [web.Response(status=400, body=body)]
    delivery = await deliver(pagerduty, incident())
    reason = f"{pagerduty.url} answered 400, which a retry would not change"
    assert delivery == Delivery("failed", reason, 1)


async def test_the_largest_incident_fits_and_says_what_is_missing(pagerduty):
    revision = incident(
        title="ü" * 50_000,
        summary='"\U0001f600' * 25_000,
        runbook=f"https://runbooks.example.org/{'r' * 49_000}",
        severity_reason="€" * 50_000,
        segments=[f"tenant={number}" for number in range(10_000)],
        evidence=[evidence("refused", sentence=f"{number} " + "€" * 200) for number in range(2000)],
        suspects=[suspect(rank=rank, reason="why " * 5000) for rank in range(1, 40)],
    )
    assert (await deliver(pagerduty, revision)).outcome == "sent"
    (event,) = pagerduty.events
    assert len(build_events(dispatch(revision), KEY)[0]) <= EVENT_BYTES_MAX
    assert "links" not in event
    assert event["payload"]["summary"] == f"P3 {'ü' * 1003}… (inc-3f9a21c0b7)"
    found = event["payload"]["custom_details"]
    lines = found["Evidence"].split("\n")
    assert (len(lines), len(found["Suspects"].split("\n"))) == (500, 39)
    assert lines[0] == f"0 {'€' * 200}"
    assert "1500 of 2000 lines of Evidence" in found["Left out"]
    assert "the end of long lines of Suspects" in found["Left out"]
    assert found["Left out"].endswith("because the event would be too large: driftwire incident show inc-3f9a21c0b7")
    assert found["Actions"] == details(incident())["Actions"]
    assert build_events(dispatch(revision), KEY) == build_events(dispatch(revision), KEY)


@pytest.mark.slow
@pytest.mark.parametrize("character", ["€", '"', "\U0001f600", "\\"])
def test_every_event_fits_whatever_its_texts_are(character):
    text = character * 50_000
    revision = incident(
        title=text,
        summary=text,
        severity_reason=text,
        change=text,
        runbook=text,
        evidence=[evidence("refused", sentence=text)] * 200,
        suspects=[suspect(reason=text, name=character * 200)] * 200,
        segments=[character * 200] * 10_000,
        containment=[step.model_copy(update={"target": text}) for step in incident().containment] * 50,
        response_targets=incident().response_targets * 5000,
    )
    (event,) = build_events(dispatch(revision), KEY)
    assert len(event) <= EVENT_BYTES_MAX
    assert "Left out" in orjson.loads(event)["payload"]["custom_details"]


def test_nothing_is_left_out_of_an_incident_of_usual_size():
    assert "Left out" not in details(incident(evidence=[evidence("refused")] * 100))


def test_texts_of_records_are_plain_text():
    event = trigger(incident(subject="bot\u202e", title="\x1b[31mred\nline\x07", summary="s\x00", provider="p\u2066"))
    text = orjson.dumps(event, option=orjson.OPT_SORT_KEYS).decode()
    assert event["payload"]["summary"].startswith("P3 \ufffd[31mred line\ufffd: s\ufffd")
    assert event["payload"]["source"] == "bot\ufffd"
    for character in ("\\u001b", "\\u0007", "\\u0000", "\u202e", "\u2066"):
        assert character not in text


def test_an_update_says_what_is_new():
    revision = incident(revision=2, severity="P1", status="acknowledged", acknowledged_by="ana")
    event = trigger(revision, Reason("severity_changed", "severity P3 -> P1"))
    assert event["payload"]["custom_details"]["News"] == "severity P3 -> P1"
    assert "driftwire incident mitigate inc-3f9a21c0b7" in event["payload"]["custom_details"]["Actions"]
    assert event["payload"]["custom_details"]["Runbook"] == "docs/runbooks/refusal_spike.md"
    assert "links" not in event


def test_a_link_contains_only_characters_of_addresses():
    (link,) = trigger(incident(runbook='https://runbooks.example.org/a b"\n<ü>?x=1#y'))["links"]
    assert link["href"] == "https://runbooks.example.org/a%20b%22%0A%3C%C3%BC%3E?x=1#y"
    assert "links" not in trigger(incident(runbook="javascript:alert(1)"))


def test_an_incident_id_cannot_add_a_command():
    assert "driftwire incident ack 'inc; reboot'\n" in details(incident(incident_id="inc; reboot"))["Actions"]
    large = incident(incident_id="inc; reboot", evidence=[evidence("refused", sentence="€" * 50_000)] * 20)
    assert details(large)["Left out"].endswith(": driftwire incident show 'inc; reboot'")


async def test_the_key_is_read_for_each_attempt_and_never_shown(pagerduty, tmp_path, caplog):
    path = tmp_path / "key"
    receiving = receiver(pagerduty.url, routing_key=None, routing_key_file=str(path))
    missing = await receiving.deliver(dispatch(incident()))
    assert missing == Delivery("retry", f"cannot use the routing_key_file {path}: No such file or directory", 1)
    path.write_text("too short")
    caplog.set_level("DEBUG")
    refused = await receiving.deliver(dispatch(incident()))
    assert (refused.outcome, "too short" in refused.reason) == ("failed", False)
    path.write_text(f"{KEY}\n")
    assert (await receiving.deliver(dispatch(incident()))).outcome == "sent"
    assert KEY not in caplog.text


async def test_a_closed_port_can_be_tried_again():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        delivery = await asyncio.wait_for(receiver(f"{url}/").deliver(dispatch(incident())), 5)
    assert delivery == Delivery("retry", f"{url} cannot be reached (ConnectionRefusedError)", 1)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "set either routing_key or routing_key_file"),
        ({"routing_key": KEY, "routing_key_file": "key"}, "set either routing_key or routing_key_file"),
        ({"routing_key": KEY, "url": "events.pagerduty.com"}, "it must be an http or https address with a host"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, problem):
    with pytest.raises(ValueError, match=problem):
        PagerDutySettings(**settings)


def change(**fields: Any) -> NoticeDispatch:
    content = {
        "deployment_id": "d-42",
        "timestamp": STARTED - 20_000,
        "kind": "prompt",
        "subject": ["support-bot", "search"],
        "environment": "production",
        "from_version": "v41",
        "to_version": "v42",
        "summary": "shorter answers",
        "author": "ci",
    } | fields
    deployments = Deployment.read(content)
    subjects = [one.subject for one in deployments if one.subject is not None]
    notice = DeploymentChange(deployment=deployments[0], subjects=subjects)
    return NoticeDispatch("deployment:d-42:0a1b", notice, "pager", Reason("deployed", "it was deployed"), STARTED)


async def test_a_deployment_is_a_change_event(pagerduty):
    delivery = await receiver(pagerduty.url).deliver_notice(change())
    assert delivery == Delivery("sent", "it was deployed", 1, sent_at=int(NOW_S * 1000))
    assert pagerduty.changes == [
        {
            "routing_key": KEY,
            "payload": {
                "summary": "prompt v41 -> v42 for support-bot, search: shorter answers",
                "source": "support-bot, search",
                "timestamp": "2026-11-24T03:11:40.000Z",
                "custom_details": {
                    "Deployment": "d-42",
                    "Kind": "prompt",
                    "From version": "v41",
                    "To version": "v42",
                    "Subjects": "support-bot, search",
                    "Environment": "production",
                    "Author": "ci",
                },
            },
        }
    ]
    assert pagerduty.events == []


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({}, "everything"),
        ({"environment": "production"}, "production"),
        ({"provider": "modelhub"}, "modelhub"),
        ({"subject": list("abcde")}, "a, b, c and 2 more"),
    ],
)
async def test_the_source_of_a_change_event_is_what_the_deployment_affects(pagerduty, fields, source):
    nothing = {"subject": None, "environment": None}
    assert (await receiver(pagerduty.url).deliver_notice(change(**(nothing | fields)))).outcome == "sent"
    assert pagerduty.changes[0]["payload"]["source"] == source


@pytest.mark.parametrize("character", ["x", '"', "\u202e", "\U0001f525"])
async def test_the_longest_change_event_is_within_the_limits(pagerduty, character):
    label = character * 200
    fields = dict.fromkeys(("name", "from_version", "to_version", "environment", "provider", "rollback_of"), label)
    subjects = [f"{number}{'x' * 190}" for number in range(1000)]
    long = change(**fields, subject=subjects, expect_shift=[label] * 2000, summary=character * 500)
    assert (await receiver(pagerduty.url).deliver_notice(long)).outcome == "sent"


@pytest.mark.parametrize(("status", "outcome"), [(429, "retry"), (500, "retry"), (400, "failed")])
async def test_a_change_event_that_is_not_accepted_is_retried_or_refused(pagerduty, status, outcome):
    pagerduty.answers = [web.Response(status=status)]
    assert (await receiver(pagerduty.url).deliver_notice(change())).outcome == outcome
