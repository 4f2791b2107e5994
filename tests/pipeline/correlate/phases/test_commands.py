import pytest

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from tests.pipeline.correlate.builders import (
    MINUTE,
    START,
    command,
    dead_letters,
    drift,
    incidents,
    kafka,
    later,
    only,
    revisions,
    tick,
)

OPENED = drift()
ID = only(OPENED).incident_id


def refused(*contracts):
    return dead_letters(CorrelateStep(CorrelateSettings()).step(kafka([OPENED, *contracts])))


def test_an_acknowledged_incident_names_the_person():
    incident = only(OPENED, command("acknowledge", ID))
    assert (incident.status, incident.acknowledged_by) == ("acknowledged", "ann")
    assert incident.change == "status open -> acknowledged; acknowledged by ann"


def test_a_withdrawn_acknowledgement_leaves_the_incident_open():
    incident = only(OPENED, command("acknowledge", ID), command("unacknowledge", ID, at=START + 2 * MINUTE))
    assert (incident.status, incident.acknowledged_by) == ("open", None)
    assert incident.change == "status acknowledged -> open; acknowledgement withdrawn by ann"


@pytest.mark.parametrize(
    ("late", "arrived_first"),
    [
        ({"action": "acknowledge"}, [{"action": "unacknowledge"}]),
        ({"action": "acknowledge", "author": "eve"}, [{"action": "acknowledge"}]),
        ({"action": "unacknowledge"}, [{"action": "acknowledge"}]),
        ({"action": "classify", "severity": "P4"}, [{"action": "classify", "severity": "P2"}]),
        ({"action": "assign", "assignee": "eve"}, [{"action": "assign", "assignee": "ben"}]),
        ({"action": "resolve"}, [{"action": "mitigate"}, {"action": "reopen"}]),
        ({"action": "mitigate"}, [{"action": "resolve"}, {"action": "reopen"}]),
        ({"action": "accept"}, [{"action": "resolve"}, {"action": "reopen"}]),
        ({"action": "reopen"}, [{"action": "mitigate"}]),
        ({"action": "reopen"}, [{"action": "resolve"}]),
        ({"action": "reopen"}, [{"action": "accept"}]),
    ],
)
def test_a_command_that_arrives_after_a_later_one_that_contradicts_it_is_only_logged(late, arrived_first):
    later_ones = [
        command(**fields, incident_id=ID, at=START + (2 + number) * MINUTE)
        for number, fields in enumerate(arrived_first)
    ]
    before = only(OPENED, *later_ones)
    after = only(OPENED, *later_ones, command(**late, incident_id=ID, command_id="late", at=START + MINUTE))
    unchanged = ("status", "acknowledged_by", "severity", "commander", "resolved_at")
    assert [getattr(after, name) for name in unchanged] == [getattr(before, name) for name in unchanged]
    author = late.get("author", "ann")
    assert f"{late['action']} has no effect, because a later command contradicts it, by {author}" in [
        entry.text for entry in after.log
    ]


def test_the_times_of_assignments_are_compared_for_each_role():
    lead = command("assign", ID, assignee="ben", role="technical_lead", at=START + 2 * MINUTE)
    incident = only(OPENED, lead, command("assign", ID, assignee="eve", at=START + MINUTE))
    assert (incident.technical_lead, incident.commander) == ("ben", "eve")


def test_an_assigned_incident_names_its_commander():
    assert only(OPENED, command("assign", ID, assignee="ben")).commander == "ben"


def test_a_persons_severity_counts_with_its_reason():
    incident = only(OPENED, command("classify", ID, severity="P2", note="checkout"))
    assert (incident.severity, incident.severity_rule) == ("P2", "classified_by_a_person")
    assert incident.severity_reason == "ann classified it as P2: checkout (rule quality_loss: P3)"
    assert any(target.name == "contain" for target in incident.response_targets)


def test_a_person_can_lower_the_severity():
    assert only(OPENED, command("classify", ID, severity="P4")).severity == "P4"


def test_a_persons_severity_yields_to_something_worse_that_fires_after_it():
    classified = command("classify", ID, severity="P4", at=START + MINUTE)
    worse = drift("pii_detected", after_s=90)
    assert only(OPENED, classified, worse).severity == "P1"


def test_a_persons_severity_holds_against_more_of_the_same():
    classified = command("classify", ID, severity="P4", at=START + MINUTE)
    assert only(OPENED, classified, drift("hallucinated", after_s=90)).severity == "P4"


def test_a_persons_severity_holds_against_what_was_worse_before_it():
    worse, classified = drift("pii_detected", after_s=30), command("classify", ID, severity="P3", at=START + MINUTE)
    assert only(OPENED, worse, classified).severity == "P3"


def test_a_person_resolves_an_incident_that_still_fires():
    incident = only(OPENED, command("resolve", ID, note="known"))
    assert (incident.status, incident.resolved_at) == ("resolved", START + MINUTE)
    assert incident.log[-1].text == "resolved by ann: known"


def test_a_resolution_says_what_the_incident_was_until_it_is_reopened():
    resolved = command("resolve", ID, resolved_as="false_alarm")
    incident = only(OPENED, resolved)
    assert (incident.status, incident.resolved_as) == ("resolved", "false_alarm")
    assert incident.log[-1].text == "resolved as a false alarm by ann"
    assert "resolved as false_alarm" in incident.change
    again = command("resolve", ID, resolved_as="expected", at=START + 2 * MINUTE)
    assert only(OPENED, resolved, again).resolved_as == "expected"
    assert only(OPENED, resolved, command("resolve", ID, at=START + 2 * MINUTE)).resolved_as == "false_alarm"
    assert only(OPENED, resolved, command("reopen", ID, at=START + 2 * MINUTE)).resolved_as is None


def test_an_accepted_incident_is_resolved():
    incident = only(OPENED, command("accept", ID))
    assert incident.status == "resolved"
    assert "accepted as the new normal by ann" in incident.change


def test_a_closed_incident_stays_closed_whatever_its_signals_do():
    recovery = later(OPENED, 600)
    incident = only(OPENED, command("resolve", ID), recovery, tick(START + 30 * MINUTE))
    assert (incident.status, incident.resolved_at) == ("resolved", START + MINUTE)


def test_accepting_a_resolved_incident_keeps_its_time_of_resolution():
    history = [OPENED, later(OPENED, 60), tick(START + 30 * MINUTE)]
    resolved = only(*history)
    accepted = only(*history, command("accept", ID, at=START + 40 * MINUTE))
    assert accepted.resolved_at == resolved.resolved_at


def test_a_command_sent_twice_counts_once():
    once = command("acknowledge", ID)
    assert len(revisions(OPENED, once, once)) == 2


def test_the_last_classification_counts():
    sent = [command("classify", ID, severity=severity, command_id=severity) for severity in ("P2", "P4")]
    assert only(OPENED, *sent).severity == "P4"


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (command("acknowledge", None), "needs an incident_id"),
        (command("classify", ID), "needs a severity"),
        (command("assign", ID), "needs an assignee"),
        (command("resolve", "inc-000000000000"), "unknown incident inc-000000000000"),
        (command("mitigate", ID, resolved_as="failure"), 'resolved_as belongs to "resolve"'),
    ],
)
def test_an_invalid_command_is_a_dead_letter_with_a_reason(bad, complaint):
    [letter] = refused(bad)
    assert letter.reason == "contract"
    assert complaint in letter.detail


def test_correlate_ignores_silences():
    silence = command("silence", None, matchers=['severity="P4"'], until=START + MINUTE)
    assert refused(silence) == []
    assert len(incidents(CorrelateStep(CorrelateSettings()).step(kafka([OPENED, silence])))) == 1
