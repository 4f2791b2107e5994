import pytest

from pipeline.route.decision import LastSent, decide_notification
from pipeline.route.receiver_settings import ReceiverSettings
from schemas.incident import LogEntry
from tests.pipeline.route.samples import STARTED, incident, suspect

HOUR_S = 3600.0
ANYTHING = ReceiverSettings(name="console", console=True)
URGENT_ONLY = ReceiverSettings(name="pager", console=True, severities=("P1", "P2"))
NO_END = ReceiverSettings(name="chat", console=True, send_resolved=False)


def sent(**changes) -> LastSent:
    revision = incident(**changes)
    return LastSent.from_incident(revision, "default", at=revision.updated_at)


def decide(revision, receiver=ANYTHING, last_sent=None):
    decision = decide_notification(revision, receiver, last_sent, 4 * HOUR_S, revision.updated_at)
    return decision.send, decision.reason.text


def test_a_new_incident_is_sent():
    assert decide(incident()) == (True, "new to the receiver: P3 open")


def test_an_unchanged_revision_is_not_sent():
    assert decide(incident(revision=2), last_sent=sent()) == (False, "nothing new since revision 1: P3 open")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"severity": "P2"}, "severity P3 -> P2"),
        ({"status": "acknowledged"}, "status open -> acknowledged"),
        ({"severity": "P1", "status": "mitigated"}, "severity P3 -> P1, status open -> mitigated"),
        ({"suspects": [suspect(deployment_id="deploy-78")]}, "leading suspect deploy-77 -> deploy-78"),
        ({"suspects": []}, "leading suspect deploy-77 -> none"),
        ({"status": "resolved", "suspects": []}, "status open -> resolved"),
    ],
)
def test_a_change_of_severity_status_or_leading_suspect_is_sent(changes, reason):
    assert decide(incident(revision=2, **changes), last_sent=sent()) == (True, reason)


def reminded(*minutes, **changes):
    lines = [
        LogEntry(at=STARTED + minute * 60_000, event="reminder", text=f"n{minute} was due: do it") for minute in minutes
    ]
    return changes | {"log": [*incident().log, *lines], "updated_at": STARTED + max(minutes) * 60_000}


def test_an_overdue_target_is_sent_once():
    first, second = reminded(30), reminded(30, 60)
    assert decide(incident(revision=2, **first), last_sent=sent()) == (True, "overdue: n30 was due")
    assert decide(incident(revision=3, **first), last_sent=sent(**first))[0] is False
    assert decide(incident(revision=3, **second), last_sent=sent(**first)) == (True, "overdue: n60 was due")


def test_an_overdue_review_is_sent_to_a_receiver_that_accepts_the_end():
    overdue = reminded(90, status="resolved")
    last_sent = sent(status="resolved")
    assert decide(incident(revision=3, **overdue), last_sent=last_sent) == (True, "overdue: n90 was due")
    assert decide(incident(revision=3, **overdue), NO_END, last_sent=last_sent)[0] is False


def test_a_receiver_that_was_never_sent_a_resolved_incident_is_not_reminded():
    assert decide(incident(revision=3, **reminded(90, status="resolved")))[0] is False


def test_a_suspect_that_is_found_later_is_sent():
    late = incident(revision=2, suspects=[suspect(rank=2, deployment_id="other"), suspect()])
    assert decide(late, last_sent=sent(suspects=[])) == (True, "leading suspect none -> deploy-77")


def test_a_suspect_without_a_deployment_is_identified_by_kind_and_name():
    unchanged = incident(revision=2, suspects=[suspect(deployment_id=None, score=0.5)])
    assert decide(unchanged, last_sent=sent(suspects=[suspect(deployment_id=None)]))[0] is False


def test_a_change_of_the_evidence_alone_is_not_sent():
    assert decide(incident(revision=2, evidence=[], summary="more"), last_sent=sent())[0] is False


def test_an_open_incident_is_repeated_after_the_interval():
    early = incident(revision=2, updated_at=STARTED + 41_000 + 4 * 3_600_000 - 1)
    due = incident(revision=2, updated_at=STARTED + 41_000 + 4 * 3_600_000)
    assert decide(early, last_sent=sent())[0] is False
    assert decide(due, last_sent=sent()) == (True, "nothing new since revision 1: P3 open, repeated after 4 h")


def test_a_closed_incident_is_never_repeated():
    late = incident(revision=3, status="resolved", updated_at=STARTED + 10**9)
    assert decide(late, last_sent=sent(revision=2, status="resolved"))[0] is False


@pytest.mark.parametrize("status", ["resolved", "merged"])
def test_an_incident_that_is_over_is_not_sent_to_a_new_receiver(status):
    assert decide(incident(status=status)) == (False, f"{status} before the receiver was notified")


def test_a_merge_is_sent_with_the_incident_that_it_was_merged_into():
    end = incident(revision=2, status="merged", merged_into="inc-parent")
    assert decide(end, last_sent=sent()) == (True, "status open -> merged into inc-parent")
    assert decide(end, NO_END, sent())[0] is False


def test_a_receiver_that_does_not_accept_the_end_is_not_sent_it():
    end = incident(revision=2, status="resolved")
    assert decide(end, NO_END, sent()) == (False, "the receiver does not accept the end of incidents")
    assert decide(incident(revision=2, status="acknowledged"), NO_END, sent())[0] is True


def test_a_receiver_is_not_sent_a_new_incident_of_a_severity_that_it_does_not_accept():
    assert decide(incident(), URGENT_ONLY) == (False, "the receiver accepts only P1, P2")
    assert decide(incident(severity="P2"), URGENT_ONLY)[0] is True


def test_a_change_to_a_severity_that_the_receiver_does_not_accept_is_sent():
    assert decide(incident(revision=2), URGENT_ONLY, sent(severity="P2")) == (True, "severity P2 -> P3")


def test_a_reopened_incident_is_sent():
    assert decide(incident(revision=3), last_sent=sent(revision=2, status="resolved"))[0] is True
