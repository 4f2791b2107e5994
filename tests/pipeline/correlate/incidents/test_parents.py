"""One shared cause over many subjects: one incident that pages, whatever the order in which the subjects are seen."""

import itertools
import random

import pytest

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from schemas.incident import CHILDREN_MAX
from tests.pipeline.correlate.builders import (
    MINUTE,
    SECOND,
    START,
    deployment,
    drift,
    incidents,
    kafka,
    later,
    newest,
    revisions,
    tick,
)
from tests.pipeline.correlate.outages import THREE, alone, child_of, failing, outage, the_parent
from tests.pipeline.correlate.worlds import interleaved

# forming


@pytest.mark.parametrize("seed", range(6))
def test_an_outage_over_fifty_subjects_is_one_incident_in_any_order(seed):
    parent = the_parent(*interleaved(random.Random(seed), *outage()))
    assert (parent.subject, parent.subject_count, len(parent.children)) == ("provider:openai", 50, 50)
    assert parent.title == "Provider degraded at provider openai in 50 subjects"
    same = {"revision": 1, "change": ""}
    expected = the_parent(*itertools.chain(*outage()))
    assert parent.model_copy(update=same) == expected.model_copy(update=same)


def test_the_third_subject_opens_the_parent_and_is_never_told_as_open():
    told = [(each.subject, each.status) for each in revisions(*THREE)]
    assert told[:3] == [("a", "open"), ("b", "open"), ("provider:openai", "open")]
    assert sorted(told[3:]) == [("a", "merged"), ("b", "merged"), ("c", "merged")]


def test_two_subjects_are_two_incidents():
    assert len(alone(newest(*THREE[:2]))) == 2
    assert the_parent(*THREE[:2], settings=CorrelateSettings(parent_subjects=2)).subject_count == 2


def test_three_incidents_of_two_subjects_make_no_parent():
    other = failing("a", signal="pii_detected", after_s=1)
    assert len(alone(newest(THREE[0], THREE[1], other, settings=CorrelateSettings(simultaneous_window_s=0)))) >= 2
    assert not any(each.children for each in newest(*THREE[:2], other).values())


def test_subjects_of_three_providers_are_three_incidents():
    assert len(alone(newest(*(failing(name, provider=f"p-{name}") for name in "abc")))) == 3


def test_where_no_provider_is_named_the_environment_is_shared():
    parent = the_parent(*(failing(name, provider=None) for name in "abc"))
    assert (parent.subject, parent.title) == (
        "environment:production",
        "Errors across environment production in 3 subjects",
    )


def test_where_nothing_is_shared_nothing_is_merged():
    assert len(alone(newest(*(drift("error", subject=name) for name in "abc")))) == 3


def test_failures_of_another_kin_stay_apart():
    final = newest(*THREE, failing("d", signal="pii_detected"), failing("e", signal="index_age_s"))
    assert {each.subject for each in alone(final)} == {"provider:openai", "d", "e"}


def test_starts_that_lie_far_apart_make_no_parent():
    assert len(alone(newest(*(failing(name, after_s=place * 70) for place, name in enumerate("abc"))))) == 3


def test_tickets_make_no_parent():
    tickets = [failing(name, signal="length", tier="ticket") for name in "abc"]
    assert len(alone(newest(*tickets))) == 3


# what it says


def test_a_child_says_where_it_went_and_keeps_its_own_evidence():
    child = child_of(*THREE)
    parent = the_parent(*THREE)
    assert (child.merged_into, child.parent) == (parent.incident_id, parent.incident_id)
    assert [line.signal for line in child.evidence] == ["error"]
    assert child.log[-1].event == "merged"
    assert parent.incident_id in child.log[-1].text


def test_the_parent_is_as_bad_as_the_worst_of_its_children_and_names_the_rule():
    mild, worst = [failing(name, signal="refused") for name in "abc"], failing("d", now=0.7, effect=400, after_s=5)
    assert (the_parent(*mild).severity, the_parent(*mild).severity_rule) == ("P3", "quality_loss")
    parent, child = the_parent(*mild, worst), child_of(*mild, worst, subject="d")
    assert (parent.severity, parent.severity_rule) == (child.severity, child.severity_rule)
    assert (parent.failure_mode, parent.severity) == ("outage", "P2")


def test_the_evidence_is_one_line_for_a_signal_and_says_in_how_many_subjects():
    [line] = the_parent(*THREE).evidence
    assert line.sentence == "in 3 subjects, first in a: error left its baseline"


def test_the_summary_says_how_many_and_which_is_worst():
    assert the_parent(*THREE).summary.startswith(
        "3 subjects of provider openai fail together: a fails 9.1 % of requests"
    )


def test_its_log_names_each_subject_once():
    log = the_parent(*THREE).log
    assert [entry.event for entry in log] == ["opened", "subject", "subject", "subject"]
    assert log[0].text == "opened: a, b, c, all of provider openai, failed at the same time"


def test_only_what_touches_all_of_it_is_a_suspect():
    of_one = deployment("d-1", subject="a", kind="model")
    of_all = deployment("d-2", subject=None, provider="openai", kind="provider_status")
    first, second = the_parent(*THREE, of_one, of_all).suspects
    assert first.deployment_id == "d-2"
    assert (second.kind, second.name) == ("provider", "openai")


def test_without_any_change_what_all_of_it_share_is_named():
    parent = the_parent(*THREE)
    assert [(each.kind, each.name) for each in parent.suspects] == [("provider", "openai")]
    assert "Most likely cause: openai (provider); no deployment explains it." in parent.summary


def test_containment_is_of_all_its_subjects():
    switch = next(step for step in the_parent(*THREE).containment if step.action == "kill_switch")
    assert "all 3 subjects of provider openai" in switch.target


def test_its_children_are_bounded_and_counted():
    many = [failing(f"s-{number}", after_s=number / 10) for number in range(CHILDREN_MAX + 5)]
    parent = the_parent(*many)
    assert (len(parent.children), parent.subject_count) == (CHILDREN_MAX, CHILDREN_MAX + 5)
    assert len(parent.log) <= 100


# growing, ending, coming back


def test_what_comes_later_joins_while_it_is_open():
    parent = the_parent(*THREE, failing("d", after_s=40 * 60))
    assert parent.subject_count == 4


def test_what_comes_when_nothing_has_changed_for_long_is_news():
    assert len(alone(newest(*THREE, failing("d", after_s=2 * 3_600)))) == 2


def test_what_began_a_little_earlier_and_is_still_going_on_belongs_to_it():
    assert the_parent(failing("d", after_s=-5 * 60), *THREE).subject_count == 4
    assert the_parent(*THREE, failing("d", after_s=-5 * 60)).subject_count == 4


def test_what_was_over_before_it_began_does_not_belong_to_it():
    before = failing("d", after_s=-9 * 60)
    assert len(alone(newest(before, later(before, 60), *THREE))) == 2


def back(drifts, after_s=300):
    return [later(each, after_s) for each in drifts]


def test_it_is_mitigated_when_all_are_back_and_resolved_after_the_quiet_time():
    two = [*THREE, *back(THREE[:2])]
    assert the_parent(*two).status == "open"
    assert the_parent(*THREE, *back(THREE)).status == "mitigated"
    parent = the_parent(*THREE, *back(THREE), tick(START + 11 * MINUTE))
    assert (parent.status, parent.resolved_at) == ("resolved", THREE[-1].detected_at + 10 * MINUTE)
    assert [entry.event for entry in parent.log][-2:] == ["recovered", "resolved"]


def test_a_child_that_is_off_again_opens_the_parent_again():
    gone = [*THREE, *back(THREE), tick(START + 11 * MINUTE)]
    again = failing("a", after_s=15 * 60, drift_id="again")
    parent = the_parent(*gone, again)
    assert (parent.status, parent.resolved_at, parent.subject_count) == ("open", None, 3)


def test_the_next_outage_is_another_incident():
    gone = [*THREE, *back(THREE), tick(START + 11 * MINUTE)]
    again = [failing(name, after_s=50 * 60 + place, drift_id=f"again-{name}") for place, name in enumerate("xyz")]
    assert [each.status for each in alone(newest(*gone, *again))] == ["resolved", "open"]


# limits and state


def test_an_earlier_start_of_the_hour_before_merges_the_one_parent_into_the_other():
    hour = START - START % (60 * MINUTE)
    at = (hour - START) / SECOND
    rest = [failing(name, after_s=at + 10 + place) for place, name in enumerate("bcd")]
    first = failing("a", after_s=at - 10)
    final = newest(*rest, first)
    [parent] = alone(final)
    [left] = [each for each in final.values() if each.subject_count == 0]
    assert (left.status, left.merged_into) == ("merged", parent.incident_id)
    assert parent.incident_id == the_parent(first, *rest).incident_id


def test_with_little_room_the_parent_outlives_its_children():
    few = CorrelateSettings(incidents_max=20)
    final = newest(*itertools.chain(*outage()), settings=few)
    parent = next(each for each in final.values() if each.children and each.status == "open")
    assert parent.subject_count >= 18


def test_a_resolved_parent_leaves_state_with_its_children():
    step = CorrelateStep(CorrelateSettings(incidents_max=4))
    told = step.step(kafka([*THREE, *back(THREE), tick(START + 11 * MINUTE)]))
    assert len(incidents(told)) >= 4
    step.step(kafka([drift("error", subject="other", start=START + 60 * MINUTE)]))
    kept = [key for key, value in step.changed() if value is not None and key.startswith(b"incident/")]
    assert len(kept) == 1


def test_a_provider_with_a_name_that_no_subject_can_have_is_written_as_text():
    parent = the_parent(*(failing(name, provider="open\nai" + "x" * 190) for name in "abc"))
    assert parent.subject.startswith("provider:open?ai")
    assert len(parent.subject) == 200
