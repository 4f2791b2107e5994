import pytest

from pipeline.correlate.settings import CorrelateSettings
from schemas.topics import ALERTS
from tests.pipeline.correlate.builders import (
    MINUTE,
    SECOND,
    START,
    command,
    deployment,
    drift,
    incidents,
    kafka,
    later,
    newest,
    only,
    revisions,
    started,
    tick,
)

REFUSED = drift()
BACK = later(REFUSED, 5 * 60)
QUIET_UNTIL = REFUSED.detected_at + 10 * MINUTE


# opening


def test_ticks_and_deployments_alone_publish_nothing():
    quiet = [tick(START + second * SECOND, second % 4) for second in range(100)]
    assert started().step(kafka([deployment(), *quiet])) == []


def test_an_incident_is_published_under_its_id():
    [output] = started().step(kafka([REFUSED]))
    assert (output.topic, output.key, output.partition) == (ALERTS, only(REFUSED).incident_id.encode(), None)


def test_an_incident_has_its_start_and_its_detection_gap():
    incident = only(drift(after_s=90))
    assert (incident.started_at, incident.detected_at, incident.detection_gap_s) == (START, START + 90_000, 90.0)


def test_the_id_depends_only_on_the_opening_drift():
    single, crowded = only(REFUSED), newest(deployment(), drift("refused", subject="search"), REFUSED)
    assert single.incident_id in crowded
    assert single.incident_id.startswith("inc-")
    assert only(drift(drift_id="other")).incident_id != single.incident_id


def test_the_start_is_that_of_page_tier_drifts_if_there_are_any():
    ticket = drift("length", start=START - 100 * SECOND, after_s=200, tier="ticket")
    assert only(ticket).started_at == START - 100 * SECOND
    assert only(ticket, REFUSED).started_at == START


# deployments and their order


@pytest.mark.parametrize("arrival", range(4))
def test_the_incident_is_the_same_whenever_the_deployment_arrives(arrival):
    drifts = [REFUSED, later(REFUSED, 60, "evidence"), later(REFUSED, 300, sequence=2)]
    incident = only(*drifts[:arrival], deployment(), *drifts[arrival:])
    expected = only(deployment(), *drifts)
    same = {"revision": 1, "change": ""}
    assert incident.model_copy(update=same) == expected.model_copy(update=same)


def test_a_deployment_that_arrives_late_revises_the_incident():
    published = revisions(REFUSED, deployment())
    assert [len(incident.suspects) for incident in published] == [0, 1]
    assert published[-1].change == "first suspect none -> prompt v41 -> v42"


def test_a_deployment_that_arrives_after_the_resolution_revises_it_too():
    published = revisions(REFUSED, BACK, tick(START + 30 * MINUTE), deployment())
    assert (published[-1].status, len(published[-1].suspects)) == ("resolved", 1)


def test_an_unrelated_deployment_revises_nothing():
    assert len(revisions(REFUSED, deployment(subject="search"), deployment(before_s=100_000))) == 1


def test_a_deployment_into_an_open_incident_is_flagged_when_the_clock_reaches_it():
    change = deployment("d-9", before_s=-120, kind="index")
    assert len(revisions(change, REFUSED)) == 1
    published = revisions(
        change, REFUSED, tick(START + 119 * SECOND), tick(START + 2 * MINUTE), tick(START + 3 * MINUTE)
    )
    assert len(published) == 2
    assert "was deployed during the open incident and is not its rollback" in published[-1].change
    assert published[-1].updated_at == START + 2 * MINUTE


def test_a_rollback_into_an_open_incident_is_logged_and_not_flagged():
    rollback = deployment("d-43", before_s=-120, from_version="v42", to_version="v41")
    incident = only(deployment(), rollback, REFUSED, tick(START + 3 * MINUTE))
    assert incident.log[-1].text == "rolled back: prompt v42 -> v41 (d-43) reverts d-42"


def test_the_running_log_is_sorted_by_time_in_any_order_of_arrival():
    rollback = deployment("d-43", before_s=-120, from_version="v42", to_version="v41")
    log = only(deployment(), REFUSED, BACK, tick(START + 30 * MINUTE), rollback).log
    assert [entry.event for entry in log] == ["opened", "rollback", "recovered", "resolved"]


def test_a_provider_that_only_evidence_names_counts_from_the_next_published_change():
    named = later(REFUSED, 60, "evidence", provider="openai")
    change = deployment(subject=None, provider="openai")
    assert only(REFUSED, named, change).suspects == []
    rollback = later(named, 300, sequence=2)
    assert len(only(REFUSED, named, change, rollback).suspects) == 1


def test_a_deployment_after_the_resolution_is_not_flagged():
    change = deployment("d-9", before_s=-20 * 60)
    assert [incident.status for incident in revisions(change, REFUSED, BACK, tick(START + 30 * MINUTE))][
        -1
    ] == "resolved"
    assert not any(entry.event == "deployment" for entry in only(change, REFUSED, BACK, tick(START + 60 * MINUTE)).log)


def test_a_deployment_before_a_persons_resolution_is_flagged_when_the_clock_reaches_it():
    closed = command("resolve", only(REFUSED).incident_id, at=START + 20 * MINUTE)
    change = deployment("d-9", before_s=-10 * 60)
    published = revisions(change, REFUSED, closed, tick(START + 5 * MINUTE), tick(START + 15 * MINUTE))
    assert [incident.status for incident in published] == ["open", "resolved", "resolved"]
    assert "was deployed during the open incident" in published[-1].change


def test_the_clock_of_an_incident_opened_late_includes_other_drifts_of_its_subject():
    change = deployment("d-9", before_s=-10 * 60)
    ahead = later(REFUSED, 20 * 60, "evidence", partition=1)
    late = drift("index_age_s", start=START + 8 * MINUTE)
    [_, opened] = newest(change, REFUSED, ahead, late).values()
    assert [entry.event for entry in opened.log] == ["opened", "deployment"]


# time and resolution


def test_an_incident_is_mitigated_when_its_signals_recover_and_then_resolved():
    published = revisions(REFUSED, BACK, tick(QUIET_UNTIL - 1), tick(QUIET_UNTIL))
    assert [incident.status for incident in published] == ["open", "mitigated", "resolved"]


def test_the_resolution_is_dated_to_the_end_of_the_quiet_time_even_if_the_tick_is_late():
    assert only(REFUSED, BACK, tick(START + 5 * 60 * MINUTE)).resolved_at == QUIET_UNTIL


def test_an_incident_with_one_signal_still_firing_is_not_resolved():
    incident = only(REFUSED, drift("empty", now=0.02), BACK, tick(START + 60 * MINUTE))
    assert incident.status == "open"


def test_ticks_of_other_partitions_do_not_advance_the_clock_of_an_incident():
    assert only(REFUSED, BACK, tick(START + 60 * MINUTE, partition=1)).status == "mitigated"


def test_the_wall_clock_counts_if_ticks_carry_it():
    assert only(REFUSED, BACK, tick(START, partition=1, wall=QUIET_UNTIL)).status == "resolved"


def test_other_drifts_of_the_subject_advance_the_clock():
    other = drift("index_age_s", start=START + 40 * MINUTE)
    assert [incident.status for incident in newest(REFUSED, BACK, other).values()] == ["resolved", "open"]


def test_ticks_that_go_back_or_have_no_watermark_change_nothing():
    published = revisions(
        REFUSED, BACK, tick(START), tick(START - MINUTE), tick(START).model_copy(update={"watermark": None})
    )
    assert len(published) == 2


def test_a_longer_quiet_time_resolves_later():
    patient = CorrelateSettings(resolve_after_s=3_600)
    assert only(REFUSED, BACK, tick(START + 60 * MINUTE), settings=patient).status == "mitigated"


def test_the_step_reads_no_clock_of_its_own():
    step = started(None, REFUSED, BACK)
    assert step.tick(START + 60 * MINUTE) == []
    assert step.control(kafka([REFUSED])[0]) == []
    step.on_gap()
    assert incidents(step.step(kafka([tick(QUIET_UNTIL)])))[0].status == "resolved"
