"""Parents: one shared cause in many subjects gives one incident that pages, in any order of arrival."""

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
from tests.pipeline.correlate.outages import THREE, child_of, failing, outage, the_parent, unmerged_incidents
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


def test_the_third_subject_opens_the_parent_and_is_never_published_as_open():
    published = [(incident.subject, incident.status) for incident in revisions(*THREE)]
    assert published[:3] == [("a", "open"), ("b", "open"), ("provider:openai", "open")]
    assert sorted(published[3:]) == [("a", "merged"), ("b", "merged"), ("c", "merged")]


def test_two_subjects_are_two_incidents():
    assert len(unmerged_incidents(newest(*THREE[:2]))) == 2
    assert the_parent(*THREE[:2], settings=CorrelateSettings(parent_subjects=2)).subject_count == 2


def test_three_incidents_of_two_subjects_form_no_parent():
    other = failing("a", signal="pii_detected", after_s=1)
    assert (
        len(unmerged_incidents(newest(THREE[0], THREE[1], other, settings=CorrelateSettings(simultaneous_window_s=0))))
        >= 2
    )
    assert not any(incident.children for incident in newest(*THREE[:2], other).values())


def test_subjects_of_three_providers_are_three_incidents():
    assert len(unmerged_incidents(newest(*(failing(name, provider=f"p-{name}") for name in "abc")))) == 3


def test_without_a_provider_the_environment_is_the_shared_scope():
    parent = the_parent(*(failing(name, provider=None) for name in "abc"))
    assert (parent.subject, parent.title) == (
        "environment:production",
        "Errors across environment production in 3 subjects",
    )


def test_subjects_that_share_nothing_are_not_merged():
    assert len(unmerged_incidents(newest(*(drift("error", subject=name) for name in "abc")))) == 3


def test_failures_of_another_group_stay_separate():
    final = newest(*THREE, failing("d", signal="pii_detected"), failing("e", signal="index_age_s"))
    assert {incident.subject for incident in unmerged_incidents(final)} == {"provider:openai", "d", "e"}


def test_starts_far_apart_form_no_parent():
    assert (
        len(unmerged_incidents(newest(*(failing(name, after_s=number * 70) for number, name in enumerate("abc"))))) == 3
    )


def test_tickets_form_no_parent():
    tickets = [failing(name, signal="length", tier="ticket") for name in "abc"]
    assert len(unmerged_incidents(newest(*tickets))) == 3


# content


def test_a_child_names_its_parent_and_keeps_its_own_evidence():
    child = child_of(*THREE)
    parent = the_parent(*THREE)
    assert (child.merged_into, child.parent) == (parent.incident_id, parent.incident_id)
    assert [line.signal for line in child.evidence] == ["error"]
    assert child.log[-1].event == "merged"
    assert parent.incident_id in child.log[-1].text


def test_the_parent_has_the_severity_and_rule_of_its_worst_child():
    mild, worst = [failing(name, signal="refused") for name in "abc"], failing("d", now=0.7, effect=400, after_s=5)
    assert (the_parent(*mild).severity, the_parent(*mild).severity_rule) == ("P3", "quality_loss")
    parent, child = the_parent(*mild, worst), child_of(*mild, worst, subject="d")
    assert (parent.severity, parent.severity_rule) == (child.severity, child.severity_rule)
    assert (parent.failure_mode, parent.severity) == ("outage", "P2")


def test_the_evidence_is_one_line_per_signal_with_the_number_of_subjects():
    [line] = the_parent(*THREE).evidence
    assert line.sentence == "in 3 subjects, first in a: error left its baseline"


def test_the_summary_has_the_number_of_subjects_and_the_worst_one():
    assert the_parent(*THREE).summary.startswith(
        "3 subjects of provider openai fail together: a fails 9.1 % of requests"
    )


def test_the_log_of_a_parent_names_every_subject_once():
    log = the_parent(*THREE).log
    assert [entry.event for entry in log] == ["opened", "subject", "subject", "subject"]
    assert log[0].text == "opened: a, b, c, all of provider openai, failed at the same time"


def test_only_a_deployment_that_affects_all_subjects_is_a_suspect():
    of_one = deployment("d-1", subject="a", kind="model")
    of_all = deployment("d-2", subject=None, provider="openai", kind="provider_status")
    first, second = the_parent(*THREE, of_one, of_all).suspects
    assert first.deployment_id == "d-2"
    assert (second.kind, second.name) == ("provider", "openai")


def test_without_a_deployment_the_shared_scope_is_the_suspect():
    parent = the_parent(*THREE)
    assert [(incident.kind, incident.name) for incident in parent.suspects] == [("provider", "openai")]
    assert "Most likely cause: openai (provider); no deployment explains it." in parent.summary


def test_containment_covers_all_subjects():
    switch = next(step for step in the_parent(*THREE).containment if step.action == "kill_switch")
    assert "all 3 subjects of provider openai" in switch.target


def test_the_children_of_a_parent_are_bounded_and_counted():
    many = [failing(f"s-{number}", after_s=number / 10) for number in range(CHILDREN_MAX + 5)]
    parent = the_parent(*many)
    assert (len(parent.children), parent.subject_count) == (CHILDREN_MAX, CHILDREN_MAX + 5)
    assert len(parent.log) <= 100


# growth, resolution, reopening


def test_a_later_incident_joins_an_open_parent():
    parent = the_parent(*THREE, failing("d", after_s=40 * 60))
    assert parent.subject_count == 4


def test_an_incident_long_after_the_last_change_stays_separate():
    assert len(unmerged_incidents(newest(*THREE, failing("d", after_s=2 * 3_600)))) == 2


def test_an_incident_that_began_a_little_earlier_and_is_still_going_on_is_a_child():
    assert the_parent(failing("d", after_s=-5 * 60), *THREE).subject_count == 4
    assert the_parent(*THREE, failing("d", after_s=-5 * 60)).subject_count == 4


def test_an_incident_that_was_over_before_the_parent_began_is_not_a_child():
    before = failing("d", after_s=-9 * 60)
    assert len(unmerged_incidents(newest(before, later(before, 60), *THREE))) == 2


def recoveries(drifts, after_s=300):
    return [later(one, after_s) for one in drifts]


def test_a_parent_is_mitigated_when_all_signals_are_back_and_resolved_after_the_quiet_time():
    two = [*THREE, *recoveries(THREE[:2])]
    assert the_parent(*two).status == "open"
    assert the_parent(*THREE, *recoveries(THREE)).status == "mitigated"
    parent = the_parent(*THREE, *recoveries(THREE), tick(START + 11 * MINUTE))
    assert (parent.status, parent.resolved_at) == ("resolved", THREE[-1].detected_at + 10 * MINUTE)
    assert [entry.event for entry in parent.log][-2:] == ["recovered", "resolved"]


def test_a_child_that_fires_again_reopens_the_parent():
    history = [*THREE, *recoveries(THREE), tick(START + 11 * MINUTE)]
    again = failing("a", after_s=15 * 60, drift_id="again")
    parent = the_parent(*history, again)
    assert (parent.status, parent.resolved_at, parent.subject_count) == ("open", None, 3)


def test_the_next_outage_is_another_incident():
    history = [*THREE, *recoveries(THREE), tick(START + 11 * MINUTE)]
    again = [failing(name, after_s=50 * 60 + number, drift_id=f"again-{name}") for number, name in enumerate("xyz")]
    assert [incident.status for incident in unmerged_incidents(newest(*history, *again))] == ["resolved", "open"]


# limits and state


def test_an_earlier_start_in_the_hour_before_merges_one_parent_into_the_other():
    hour = START - START % (60 * MINUTE)
    at = (hour - START) / SECOND
    rest = [failing(name, after_s=at + 10 + number) for number, name in enumerate("bcd")]
    first = failing("a", after_s=at - 10)
    final = newest(*rest, first)
    [parent] = unmerged_incidents(final)
    [left] = [incident for incident in final.values() if incident.subject_count == 0]
    assert (left.status, left.merged_into) == ("merged", parent.incident_id)
    assert parent.incident_id == the_parent(first, *rest).incident_id


@pytest.mark.slow
def test_a_parent_is_dropped_after_its_children():
    few = CorrelateSettings(incidents_max=20)
    final = newest(*itertools.chain(*outage()), settings=few)
    parent = next(incident for incident in final.values() if incident.children and incident.status == "open")
    assert parent.subject_count >= 18


def test_a_resolved_parent_is_dropped_with_its_children():
    step = CorrelateStep(CorrelateSettings(incidents_max=4))
    published = step.step(kafka([*THREE, *recoveries(THREE), tick(START + 11 * MINUTE)]))
    assert len(incidents(published)) >= 4
    step.step(kafka([drift("error", subject="other", start=START + 60 * MINUTE)]))
    stored = [key for key, value in step.changed() if value is not None and key.startswith(b"incident/")]
    assert len(stored) == 1


def test_an_unprintable_provider_name_becomes_a_valid_subject():
    parent = the_parent(*(failing(name, provider="open\nai" + "x" * 190) for name in "abc"))
    assert parent.subject.startswith("provider:open?ai")
    assert len(parent.subject) == 200
