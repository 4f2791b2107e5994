import pytest

from pipeline.route.decide import Told, decide
from pipeline.route.matchers import parse_matchers
from pipeline.route.settings import ReceiverSettings
from pipeline.route.silences import Silence
from schemas.incident import LogEntry
from tests.pipeline.route.samples import STARTED, incident, suspect

HOUR_S = 3600.0
ANYTHING = ReceiverSettings(name="console", kind="console")
URGENT_ONLY = ReceiverSettings(name="pager", kind="console", severities=("P1", "P2"))
NO_END = ReceiverSettings(name="chat", kind="console", send_resolved=False)
TEXT = 'subject="support-bot"'
SILENCE = Silence("silence-1", "ana", STARTED, STARTED + 3_600_000, (TEXT,), parse_matchers(TEXT))


def told(**changes) -> Told:
    return Told.of(incident(**changes), "default")


def decision(revision, receiver=ANYTHING, known=None, silence=None):
    made = decide(revision, receiver, known, silence, 4 * HOUR_S)
    return made.send, made.reason


def test_a_new_incident_is_sent():
    assert decision(incident()) == (True, "new to the receiver: P3 open")


def test_the_same_again_is_not_sent():
    assert decision(incident(revision=2), known=told()) == (False, "nothing new since revision 1: P3 open")


@pytest.mark.parametrize(
    ("changes", "news"),
    [
        ({"severity": "P2"}, "severity P3 -> P2"),
        ({"status": "acknowledged"}, "status open -> acknowledged"),
        ({"severity": "P1", "status": "mitigated"}, "severity P3 -> P1, status open -> mitigated"),
        ({"suspects": [suspect(deployment_id="deploy-78")]}, "leading suspect deploy-77 -> deploy-78"),
        ({"suspects": []}, "leading suspect deploy-77 -> none"),
        ({"status": "resolved", "suspects": []}, "status open -> resolved"),
    ],
)
def test_what_changes_what_a_person_would_do_is_sent(changes, news):
    assert decision(incident(revision=2, **changes), known=told()) == (True, news)


def reminded(*minutes, **changes):
    lines = [LogEntry(at=STARTED + each * 60_000, event="reminder", text=f"n{each} was due: do it") for each in minutes]
    return changes | {"log": [*incident().log, *lines], "updated_at": STARTED + max(minutes) * 60_000}


def test_what_is_overdue_is_sent_once():
    first, second = reminded(30), reminded(30, 60)
    assert decision(incident(revision=2, **first), known=told()) == (True, "overdue: n30 was due")
    assert decision(incident(revision=3, **first), known=told(**first))[0] is False
    assert decision(incident(revision=3, **second), known=told(**first)) == (True, "overdue: n60 was due")


def test_a_review_that_is_overdue_is_sent_to_who_wants_to_know_of_the_end():
    overdue = reminded(90, status="resolved")
    known = told(status="resolved")
    assert decision(incident(revision=3, **overdue), known=known) == (True, "overdue: n90 was due")
    assert decision(incident(revision=3, **overdue), NO_END, known=known)[0] is False


def test_who_was_never_told_of_a_resolved_incident_is_not_reminded_of_it():
    assert decision(incident(revision=3, **reminded(90, status="resolved")))[0] is False


def test_a_cause_that_becomes_known_later_is_sent():
    late = incident(revision=2, suspects=[suspect(rank=2, deployment_id="other"), suspect()])
    assert decision(late, known=told(suspects=[])) == (True, "leading suspect none -> deploy-77")


def test_a_suspect_without_a_deployment_is_recognised_by_kind_and_name():
    unchanged = incident(revision=2, suspects=[suspect(deployment_id=None, score=0.5)])
    assert decision(unchanged, known=told(suspects=[suspect(deployment_id=None)]))[0] is False


def test_what_only_changes_the_evidence_is_not_sent():
    assert decision(incident(revision=2, evidence=[], summary="more"), known=told())[0] is False


def test_an_open_incident_is_repeated_when_the_interval_is_over_and_not_before():
    early = incident(revision=2, updated_at=STARTED + 41_000 + 4 * 3_600_000 - 1)
    due = incident(revision=2, updated_at=STARTED + 41_000 + 4 * 3_600_000)
    assert decision(early, known=told())[0] is False
    assert decision(due, known=told()) == (True, "nothing new since revision 1: P3 open, repeated after 14400 s")


def test_a_closed_incident_is_never_repeated():
    late = incident(revision=3, status="resolved", updated_at=STARTED + 10**9)
    assert decision(late, known=told(revision=2, status="resolved"))[0] is False


@pytest.mark.parametrize("status", ["resolved", "merged"])
def test_the_end_of_what_the_receiver_never_heard_of_is_not_sent(status):
    assert decision(incident(status=status)) == (False, f"{status} before the receiver was told of it")


def test_a_receiver_that_was_told_of_it_hears_into_which_it_was_merged():
    end = incident(revision=2, status="merged", merged_into="inc-parent")
    assert decision(end, known=told()) == (True, "status open -> merged into inc-parent")
    assert decision(end, NO_END, told())[0] is False


def test_a_receiver_that_does_not_want_the_end_is_not_sent_it():
    end = incident(revision=2, status="resolved")
    assert decision(end, NO_END, told()) == (False, "the receiver does not want to know of the end")
    assert decision(incident(revision=2, status="acknowledged"), NO_END, told())[0] is True


def test_a_receiver_is_not_sent_severities_that_it_does_not_take():
    assert decision(incident(), URGENT_ONLY) == (False, "the receiver takes P1, P2 only")
    assert decision(incident(severity="P2"), URGENT_ONLY)[0] is True


def test_a_receiver_that_was_told_learns_of_a_severity_that_it_does_not_take():
    assert decision(incident(revision=2), URGENT_ONLY, told(severity="P2")) == (True, "severity P2 -> P3")


def test_a_reopened_incident_is_sent():
    assert decision(incident(revision=3), known=told(revision=2, status="resolved"))[0] is True


def test_a_silence_holds_everything_back_and_says_whose_it_is():
    for known in (None, told(severity="P1")):
        assert decision(incident(revision=2), known=known, silence=SILENCE) == (
            False,
            "silenced by ana until 2026-11-24T04:12:00.000Z (silence-1)",
        )
