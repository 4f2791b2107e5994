"""Commands about parents and their children."""

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from tests.pipeline.correlate.builders import MINUTE, START, command, dead_letters, kafka, newest
from tests.pipeline.correlate.outages import THREE, failing, the_parent, unmerged_incidents


def with_command(action, contracts, subject="a", **fields):
    """The contracts, followed by a command about the incident of a subject."""
    incident = next(one for one in newest(*contracts).values() if one.subject == subject)
    return [*contracts, command(action, incident.incident_id, **fields)]


def test_a_child_that_a_person_removes_stays_out_and_the_parent_stays_open():
    final = newest(*with_command("unmerge", THREE), failing("d", after_s=30))
    assert {incident.subject: incident.status for incident in unmerged_incidents(final)} == {
        "a": "open",
        "provider:openai": "open",
    }
    parent = next(incident for incident in final.values() if incident.children)
    assert parent.subject_count == 3
    assert [line.sentence for line in parent.evidence] == ["in 3 subjects, first in b: error left its baseline"]


def test_a_parent_whose_children_are_all_removed_is_resolved():
    contracts = list(THREE)
    for number, subject in enumerate("abc"):
        contracts = with_command("unmerge", contracts, subject=subject, command_id=f"c-{number}")
    final = {incident.subject: incident for incident in newest(*contracts).values()}
    assert {name: incident.status for name, incident in final.items()} == {
        "provider:openai": "resolved",
        "a": "open",
        "b": "open",
        "c": "open",
    }
    assert final["provider:openai"].subject_count == 0


def test_a_command_about_a_parent_changes_no_child():
    final = newest(*with_command("acknowledge", THREE, subject="provider:openai"))
    assert [incident.status for incident in unmerged_incidents(final)] == ["acknowledged"]
    assert [incident.acknowledged_by for incident in final.values() if incident.status == "merged"] == [None] * 3


def test_a_command_about_a_child_is_refused_and_names_the_parent():
    step = CorrelateStep(CorrelateSettings())
    [letter] = dead_letters(step.step(kafka(with_command("acknowledge", THREE))))
    assert "send the command to inc-" in letter.detail


def test_a_parent_that_a_person_closed_accepts_no_more_children():
    closed = with_command("resolve", THREE, subject="provider:openai", at=START + 5 * MINUTE)
    new = failing("d", after_s=60)
    assert {incident.subject: incident.status for incident in unmerged_incidents(newest(*closed, new))} == {
        "provider:openai": "resolved",
        "d": "open",
    }
    three_more = [failing(name, after_s=60) for name in "xyz"]
    assert [incident.status for incident in unmerged_incidents(newest(*closed, *three_more))] == ["resolved", "open"]


def test_a_new_signal_of_a_child_of_a_closed_parent_opens_another_incident():
    closed = with_command("resolve", THREE, subject="provider:openai", at=START + 5 * MINUTE)
    assert {
        incident.subject for incident in unmerged_incidents(newest(*closed, failing("a", signal="empty", after_s=30)))
    } == {
        "provider:openai",
        "a",
    }


def test_another_subject_ends_the_mitigation_of_a_parent():
    mitigated = with_command("mitigate", THREE, subject="provider:openai", at=START + 2 * MINUTE)
    assert the_parent(*mitigated).status == "mitigated"
    parent = the_parent(*mitigated, failing("d", after_s=30, drift_id="late"))
    assert parent.status == "open"
    assert any(entry.text == "no longer mitigated: d failed too" for entry in parent.log)


def test_the_worst_severity_that_a_person_gave_a_child_counts_for_the_parent():
    classified = with_command("classify", THREE[:2], severity="P1")
    assert the_parent(*classified, THREE[2]).severity == "P1"


def test_a_person_can_merge_a_subject_into_a_parent_and_unmerge_it():
    late = failing("d", after_s=3 * 3_600)
    parent_id = the_parent(*THREE).incident_id
    put_in = with_command("merge", [*THREE, late], subject="d", into=parent_id, at=START + 200 * MINUTE)
    parent = the_parent(*put_in)
    assert (parent.incident_id, parent.subject_count) == (parent_id, 4)
    final = newest(*with_command("unmerge", put_in, subject="d", at=START + 201 * MINUTE))
    assert {incident.subject: incident.subject_count for incident in unmerged_incidents(final)} == {
        "provider:openai": 3,
        "d": 1,
    }
