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


def test_a_quiet_stream_of_ticks_and_deployments_writes_nothing():
    quiet = [tick(START + each * SECOND, each % 4) for each in range(100)]
    assert started().step(kafka([deployment(), *quiet])) == []


def test_an_incident_is_written_under_its_id():
    [output] = started().step(kafka([REFUSED]))
    assert (output.topic, output.key, output.partition) == (ALERTS, only(REFUSED).incident_id.encode(), None)


def test_an_incident_says_when_it_began_and_how_late_it_was_seen():
    incident = only(drift(after_s=90))
    assert (incident.started_at, incident.detected_at, incident.detection_gap_s) == (START, START + 90_000, 90.0)


def test_the_id_depends_on_the_opening_drift_alone():
    alone, crowded = only(REFUSED), newest(deployment(), drift("refused", subject="search"), REFUSED)
    assert alone.incident_id in crowded
    assert alone.incident_id.startswith("inc-")
    assert only(drift(drift_id="other")).incident_id != alone.incident_id


def test_the_page_tier_tells_the_start_where_there_is_one():
    ticket = drift("length", start=START - 100 * SECOND, after_s=200, tier="ticket")
    assert only(ticket).started_at == START - 100 * SECOND
    assert only(ticket, REFUSED).started_at == START


# deployments and their order


@pytest.mark.parametrize("arrival", range(4))
def test_whichever_arrives_first_the_incident_is_the_same(arrival):
    drifts = [REFUSED, later(REFUSED, 60, "evidence"), later(REFUSED, 300, sequence=2)]
    incident = only(*drifts[:arrival], deployment(), *drifts[arrival:])
    expected = only(deployment(), *drifts)
    same = {"revision": 1, "change": ""}
    assert incident.model_copy(update=same) == expected.model_copy(update=same)


def test_a_deployment_that_arrives_late_revises_the_incident():
    told = revisions(REFUSED, deployment())
    assert [len(each.suspects) for each in told] == [0, 1]
    assert told[-1].change == "first suspect none -> prompt v41 -> v42"


def test_a_deployment_that_arrives_after_the_resolution_revises_it_too():
    told = revisions(REFUSED, BACK, tick(START + 30 * MINUTE), deployment())
    assert (told[-1].status, len(told[-1].suspects)) == ("resolved", 1)


def test_a_deployment_of_no_concern_revises_nothing():
    assert len(revisions(REFUSED, deployment(subject="search"), deployment(before_s=100_000))) == 1


def test_a_change_into_an_open_incident_is_flagged_once_its_time_has_come():
    change = deployment("d-9", before_s=-120, kind="index")
    assert len(revisions(change, REFUSED)) == 1
    told = revisions(change, REFUSED, tick(START + 119 * SECOND), tick(START + 2 * MINUTE), tick(START + 3 * MINUTE))
    assert len(told) == 2
    assert "was deployed during the open incident and is not its rollback" in told[-1].change
    assert told[-1].updated_at == START + 2 * MINUTE


def test_a_rollback_into_an_open_incident_is_not_flagged_but_logged():
    back = deployment("d-43", before_s=-120, from_version="v42", to_version="v41")
    incident = only(deployment(), back, REFUSED, tick(START + 3 * MINUTE))
    assert incident.log[-1].text == "rolled back: prompt v42 -> v41 (d-43) reverts d-42"


def test_the_running_log_is_in_order_of_time_whatever_arrived_first():
    back = deployment("d-43", before_s=-120, from_version="v42", to_version="v41")
    log = only(deployment(), REFUSED, BACK, tick(START + 30 * MINUTE), back).log
    assert [entry.event for entry in log] == ["opened", "rollback", "recovered", "resolved"]


def test_a_provider_named_by_evidence_alone_changes_nothing_until_there_is_something_to_tell():
    named = later(REFUSED, 60, "evidence", provider="openai")
    change = deployment(subject=None, provider="openai")
    assert only(REFUSED, named, change).suspects == []
    back = later(named, 300, sequence=2)
    assert len(only(REFUSED, named, change, back).suspects) == 1


def test_a_change_after_the_resolution_is_not_flagged():
    change = deployment("d-9", before_s=-20 * 60)
    assert [each.status for each in revisions(change, REFUSED, BACK, tick(START + 30 * MINUTE))][-1] == "resolved"
    assert not any(entry.event == "deployment" for entry in only(change, REFUSED, BACK, tick(START + 60 * MINUTE)).log)


def test_a_change_before_a_persons_resolution_is_flagged_when_the_records_get_there():
    closed = command("resolve", only(REFUSED).incident_id, at=START + 20 * MINUTE)
    change = deployment("d-9", before_s=-10 * 60)
    told = revisions(change, REFUSED, closed, tick(START + 5 * MINUTE), tick(START + 15 * MINUTE))
    assert [each.status for each in told] == ["open", "resolved", "resolved"]
    assert "was deployed during the open incident" in told[-1].change


def test_an_incident_opened_late_knows_what_time_it_is_from_its_subjects_other_drifts():
    change = deployment("d-9", before_s=-10 * 60)
    ahead = later(REFUSED, 20 * 60, "evidence", partition=1)
    late = drift("index_age_s", start=START + 8 * MINUTE)
    [_, opened] = newest(change, REFUSED, ahead, late).values()
    assert [entry.event for entry in opened.log] == ["opened", "deployment"]


# time and resolution


def test_signals_that_are_back_make_an_incident_mitigated_and_then_resolved():
    told = revisions(REFUSED, BACK, tick(QUIET_UNTIL - 1), tick(QUIET_UNTIL))
    assert [each.status for each in told] == ["open", "mitigated", "resolved"]


def test_an_incident_is_resolved_as_of_the_end_of_its_quiet_time_however_late_a_tick_says_so():
    assert only(REFUSED, BACK, tick(START + 5 * 60 * MINUTE)).resolved_at == QUIET_UNTIL


def test_an_incident_of_which_one_signal_still_fires_is_not_resolved():
    incident = only(REFUSED, drift("empty", now=0.02), BACK, tick(START + 60 * MINUTE))
    assert incident.status == "open"


def test_ticks_of_partitions_that_hold_none_of_its_drifts_are_no_clock_of_it():
    assert only(REFUSED, BACK, tick(START + 60 * MINUTE, partition=1)).status == "mitigated"


def test_the_wall_clock_counts_where_ticks_carry_it():
    assert only(REFUSED, BACK, tick(START, partition=1, wall=QUIET_UNTIL)).status == "resolved"


def test_the_subjects_own_drifts_are_a_clock_too():
    other = drift("index_age_s", start=START + 40 * MINUTE)
    assert [each.status for each in newest(REFUSED, BACK, other).values()] == ["resolved", "open"]


def test_ticks_that_go_back_or_come_before_the_first_record_change_nothing():
    told = revisions(
        REFUSED, BACK, tick(START), tick(START - MINUTE), tick(START).model_copy(update={"watermark": None})
    )
    assert len(told) == 2


def test_a_longer_quiet_time_resolves_later():
    patient = CorrelateSettings(resolve_after_s=3_600)
    assert only(REFUSED, BACK, tick(START + 60 * MINUTE), settings=patient).status == "mitigated"


def test_the_step_reads_no_clock_of_its_own():
    step = started(None, REFUSED, BACK)
    assert step.tick(START + 60 * MINUTE) == []
    assert step.control(kafka([REFUSED])[0]) == []
    step.on_gap()
    assert incidents(step.step(kafka([tick(QUIET_UNTIL)])))[0].status == "resolved"
