"""Targets: tasks, due times, and completion."""

import pytest

from pipeline.correlate.playbook.business_hours import BusinessHours
from pipeline.correlate.playbook.response_times import ResponseTimes
from pipeline.correlate.response.targets import ResponseProgress, response_targets
from pipeline.correlate.settings import CorrelateSettings
from schemas.timestamp import parse_timestamp
from tests.pipeline.correlate.builders import MINUTE, SECOND, START, command, deployment, drift, later, only, tick

AT = parse_timestamp("2026-11-24T11:12:00Z")  # a Tuesday, in business hours
HOUR, DAY = 60 * MINUTE, 24 * 60 * MINUTE
REFUSED, EXPOSED = drift(), drift("pii_detected")
FIRED = EXPOSED.detected_at
P1_ID, P3_ID = only(EXPOSED).incident_id, only(REFUSED).incident_id


def targets(severity, *, response=(), hours=None, **progress):
    plan = ResponseTimes.from_configuration(severity, response)
    return response_targets(ResponseProgress(severity, AT, AT, **progress), plan, hours or BusinessHours())


def due(severity, **fields):
    return {target.name: target.due_at - AT for target in targets(severity, **fields)}


def done(incident):
    return {target.name: target.done_at for target in incident.response_targets}


@pytest.mark.parametrize("severity", ["P1", "P2", "P3", "P4"])
def test_every_incident_is_classified_within_15_minutes(severity):
    assert due(severity)["classify"] == 15 * MINUTE


@pytest.mark.parametrize("severity", ["P1", "P2"])
def test_a_commander_is_due_with_the_classification(severity):
    assert due(severity)["commander"] == 15 * MINUTE


def test_p1_is_contained_at_once_and_communicated_within_30_minutes_and_every_30_after():
    assert due("P1")["contain"] == 0
    assert due("P1")["first_communication"] == 30 * MINUTE
    assert due("P1")["next_communication"] == 60 * MINUTE


def test_p2_is_rolled_back_within_2_hours_and_communicated_within_1_and_every_30_minutes_after():
    assert due("P2")["contain"] == 2 * HOUR
    assert due("P2")["first_communication"] == HOUR
    assert due("P2")["next_communication"] == 90 * MINUTE


def test_p3_is_fixed_in_a_business_day_and_p4_in_a_sprint():
    assert due("P3") == {"classify": 15 * MINUTE, "fix": DAY}
    assert due("P4") == {"classify": 15 * MINUTE, "fix": 14 * DAY}


def test_the_business_hours_are_those_of_the_configured_time_zone():
    sydney = BusinessHours(time_zone="Australia/Sydney")  # 22:12 there: the next morning begins at 22:00Z
    assert AT + due("P3", hours=sydney)["fix"] == parse_timestamp("2026-11-25T06:00:00Z")


@pytest.mark.parametrize("severity", ["P1", "P2"])
def test_the_review_is_due_72_hours_after_the_resolution_and_not_before(severity):
    assert "review" not in due(severity)
    assert due(severity, resolved_at=AT + HOUR)["review"] == 73 * HOUR
    [review] = [target for target in targets(severity, resolved_at=AT) if target.name == "review"]
    assert review.source == f"playbook: {severity}, review 48 to 72 hours after the resolution (due after 72 h)"


def test_the_next_communication_counts_from_the_last_one_and_ends_with_the_incident():
    assert (
        due("P1", first_communicated_at=AT + MINUTE, last_communicated_at=AT + 40 * MINUTE)["next_communication"]
        == 70 * MINUTE
    )
    assert "next_communication" not in due("P1", resolved_at=AT + HOUR)


def test_the_most_urgent_comes_first():
    order = [target.due_at for target in targets("P1")]
    assert order == sorted(order)


def test_the_configuration_can_override_one_target_and_the_source_names_it():
    response = [
        ResponseTimes(severity="P1", first_communication_s=900),
        ResponseTimes(severity="P3", fix_business_days=2),
    ]
    assert due("P1", response=response) == due("P1") | {
        "first_communication": 15 * MINUTE,
        "next_communication": 45 * MINUTE,
    }
    assert due("P3", response=response)["fix"] == 2 * DAY
    sources = {target.name: target.source for target in targets("P1", response=response)}
    assert sources["first_communication"] == "configuration: P1, first communication within 15 min"
    assert sources["contain"] == "playbook: P1, contain at once, by rollback or kill switch"


def test_the_configuration_can_add_a_target_to_a_p3():
    response = [ResponseTimes(severity="P3", first_communication_s=7_200)]
    assert due("P3", response=response)["first_communication"] == 2 * HOUR


# what is done


def test_without_any_action_nothing_is_done():
    assert set(done(only(EXPOSED)).values()) == {None}


@pytest.mark.parametrize("action", ["acknowledge", "classify", "assign", "mitigate", "note"])
def test_any_action_of_a_person_counts_as_classified(action):
    needed = {"classify": {"severity": "P1"}, "assign": {"assignee": "ben"}, "note": {"note": "seen"}}
    sent = command(action, P1_ID, **needed.get(action, {}))
    assert done(only(EXPOSED, sent))["classify"] == START + MINUTE


def test_the_first_action_counts_even_after_it_has_left_the_log():
    commands = [command("acknowledge", P1_ID, at=START + minutes * MINUTE) for minutes in range(1, 12)]
    incident = only(EXPOSED, *commands, settings=CorrelateSettings(log_entries_max=4))
    assert START + MINUTE not in {entry.at for entry in incident.log}
    assert done(incident)["classify"] == START + MINUTE


def test_an_assigned_incident_has_a_commander():
    assert done(only(EXPOSED, command("assign", P1_ID, assignee="ben")))["commander"] == START + MINUTE


def test_an_incident_is_contained_when_its_signals_recover():
    back = later(EXPOSED, 120)
    assert done(only(EXPOSED, back))["contain"] == back.updated_at
    again = drift("pii_detected", start=START + 4 * MINUTE, drift_id="again")
    assert done(only(EXPOSED, back, again))["contain"] is None


def test_an_incident_is_contained_when_its_cause_is_rolled_back():
    back = deployment("d-43", before_s=-120, from_version="v42", to_version="v41")
    assert done(only(deployment(), EXPOSED, back, tick(START + 3 * MINUTE)))["contain"] == back.timestamp
    other = deployment("d-44", before_s=-120, from_version="v42", to_version="v43")
    assert done(only(deployment(), EXPOSED, other, tick(START + 3 * MINUTE)))["contain"] is None


def test_an_incident_is_fixed_when_it_is_resolved():
    assert done(only(REFUSED))["fix"] is None
    assert done(only(REFUSED, command("resolve", P3_ID)))["fix"] == START + MINUTE


# from when targets count


def test_targets_of_a_worse_severity_count_from_when_it_was_decided():
    worse = drift("pii_detected", start=START + SECOND, after_s=40 * 60)
    by_name = {target.name: target.due_at for target in only(REFUSED, worse).response_targets}
    assert by_name["classify"] == REFUSED.detected_at + 15 * MINUTE
    assert by_name["first_communication"] == worse.updated_at + 30 * MINUTE


def test_targets_of_a_persons_severity_count_from_their_command():
    classified = command("classify", P3_ID, severity="P2", at=START + 20 * MINUTE)
    by_name = {target.name: target.due_at for target in only(REFUSED, classified).response_targets}
    assert by_name["first_communication"] == START + 80 * MINUTE


def test_targets_of_a_confirmed_severity_count_from_when_it_was_decided():
    classified = command("classify", P1_ID, severity="P1", at=START + 20 * MINUTE)
    by_name = {target.name: target.due_at for target in only(EXPOSED, classified).response_targets}
    assert by_name["first_communication"] == FIRED + 30 * MINUTE
