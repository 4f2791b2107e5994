"""What people say of a parent and of its children."""

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from tests.pipeline.correlate.builders import MINUTE, START, command, dead_letters, kafka, newest
from tests.pipeline.correlate.outages import THREE, alone, failing, the_parent


def say(action, contracts, subject="a", **fields):
    """The contracts, and then a command about the incident of a subject."""
    incident = next(each for each in newest(*contracts).values() if each.subject == subject)
    return [*contracts, command(action, incident.incident_id, **fields)]


def test_a_child_that_a_person_takes_out_stays_out_and_the_parent_stays():
    final = newest(*say("unmerge", THREE), failing("d", after_s=30))
    assert {each.subject: each.status for each in alone(final)} == {"a": "open", "provider:openai": "open"}
    parent = next(each for each in final.values() if each.children)
    assert parent.subject_count == 3
    assert [line.sentence for line in parent.evidence] == ["in 3 subjects, first in b: error left its baseline"]


def test_a_parent_whose_children_are_all_taken_out_is_over():
    contracts = list(THREE)
    for number, subject in enumerate("abc"):
        contracts = say("unmerge", contracts, subject=subject, command_id=f"c-{number}")
    final = {each.subject: each for each in newest(*contracts).values()}
    assert {name: each.status for name, each in final.items()} == {
        "provider:openai": "resolved", "a": "open", "b": "open", "c": "open",
    }  # fmt: skip
    assert final["provider:openai"].subject_count == 0


def test_what_a_person_says_of_the_parent_counts_for_it_alone():
    final = newest(*say("acknowledge", THREE, subject="provider:openai"))
    assert [each.status for each in alone(final)] == ["acknowledged"]
    assert [each.acknowledged_by for each in final.values() if each.status == "merged"] == [None] * 3


def test_a_command_about_a_child_is_refused_and_names_the_parent():
    step = CorrelateStep(CorrelateSettings())
    [letter] = dead_letters(step.step(kafka(say("acknowledge", THREE))))
    assert "say it of that one" in letter.detail


def test_a_parent_that_a_person_closed_takes_nothing_more():
    closed = say("resolve", THREE, subject="provider:openai", at=START + 5 * MINUTE)
    new = failing("d", after_s=60)
    assert {each.subject: each.status for each in alone(newest(*closed, new))} == {
        "provider:openai": "resolved",
        "d": "open",
    }
    three_more = [failing(name, after_s=60) for name in "xyz"]
    assert [each.status for each in alone(newest(*closed, *three_more))] == ["resolved", "open"]


def test_a_new_signal_of_a_child_of_a_closed_parent_is_a_new_incident():
    closed = say("resolve", THREE, subject="provider:openai", at=START + 5 * MINUTE)
    assert {each.subject for each in alone(newest(*closed, failing("a", signal="empty", after_s=30)))} == {
        "provider:openai",
        "a",
    }


def test_one_more_subject_after_a_person_called_it_mitigated_opens_it_again():
    mitigated = say("mitigate", THREE, subject="provider:openai", at=START + 2 * MINUTE)
    assert the_parent(*mitigated).status == "mitigated"
    parent = the_parent(*mitigated, failing("d", after_s=30, drift_id="late"))
    assert parent.status == "open"
    assert any(entry.text == "no longer mitigated: d failed too" for entry in parent.log)


def test_the_worst_that_a_person_said_of_a_child_counts_for_the_parent():
    said = say("classify", THREE[:2], severity="P1")
    assert the_parent(*said, THREE[2]).severity == "P1"


def test_a_person_can_put_a_subject_into_a_parent_and_take_it_out_again():
    late = failing("d", after_s=3 * 3_600)
    parent_id = the_parent(*THREE).incident_id
    put_in = say("merge", [*THREE, late], subject="d", into=parent_id, at=START + 200 * MINUTE)
    parent = the_parent(*put_in)
    assert (parent.incident_id, parent.subject_count) == (parent_id, 4)
    final = newest(*say("unmerge", put_in, subject="d", at=START + 201 * MINUTE))
    assert {each.subject: each.subject_count for each in alone(final)} == {"provider:openai": 3, "d": 1}
