"""People who take over, rollbacks and kill switches are news for everybody who was notified of the incident."""

import pytest

from pipeline.route.settings import RouteSettings
from pipeline.route.step import RouteStep
from schemas.incident import LogEntry
from tests.pipeline.route.samples import STARTED, alert, incident
from tests.pipeline.route.test_step import run

OPENED = incident().log
SETTINGS = RouteSettings()


def entry(event, minute, text="a line"):
    return LogEntry(at=STARTED + minute * 60_000, event=event, text=text)


def notify(*logs, step=None, **fields):
    """Outcome and reason of each revision after the first. Every revision has one of the logs, after its opening."""
    revisions = [
        alert(incident(revision=number, log=[*OPENED, *lines], **fields), number)
        for number, lines in enumerate(logs, 1)
    ]
    return [note[2:] for note in run(step or RouteStep(SETTINGS, STARTED), *revisions) if note[1] > 1]


@pytest.mark.parametrize("event", ["acknowledge", "assign", "rollback", "kill_switch"])
def test_a_response_is_sent_once(event):
    line = entry(event, 7, "prompt v42 -> v41 (d-43) reverts d-42")
    sent, suppressed = notify([], [line], [line], status="mitigated")
    assert sent == ("sent", line.text)
    assert suppressed[0] == "suppressed"


def test_a_note_is_not_sent():
    assert [outcome for outcome, _ in notify([], [entry("note", 7)])] == ["suppressed"]


def test_a_rollback_that_is_reported_late_is_sent():
    later, earlier = entry("acknowledge", 9), entry("rollback", 7, "rolled back")
    assert notify([later], [earlier, later]) == [("sent", "rolled back")]


def test_a_response_to_a_closed_incident_is_not_sent():
    logs = [[entry("acknowledge", 9)], [entry("rollback", 7), entry("acknowledge", 9)]]
    opened, *closed = [alert(incident(log=[*OPENED, *logs[0]]), 1)] + [
        alert(incident(revision=number, status="resolved", log=[*OPENED, *log]), number)
        for number, log in enumerate(logs, 2)
    ]
    assert [note[2] for note in run(RouteStep(SETTINGS, STARTED), opened, *closed)] == ["sent", "sent", "suppressed"]


def test_a_restart_does_not_send_a_response_again():
    first, second = RouteStep(SETTINGS, STARTED), RouteStep(SETTINGS, STARTED)
    notify([], [entry("rollback", 7)], step=first)
    assert list(second.restore(part for part in first.changed() if part[1] is not None)) == []
    line = entry("assign", 8, "commander assigned to ben by ann")
    revision = incident(revision=3, log=[*OPENED, entry("rollback", 7), line])
    assert [note[2:] for note in run(second, alert(revision, 3))] == [("sent", line.text)]
