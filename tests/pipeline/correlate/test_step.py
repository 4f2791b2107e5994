import pytest

from pipeline.codec import encode
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import PART_BYTES_MAX, CorrelateStep
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
    tick,
)

REFUSED = drift()
BACK = later(REFUSED, 5 * 60)
QUIET_UNTIL = REFUSED.detected_at + 10 * MINUTE


def started(settings=None, *contracts):
    step = CorrelateStep(settings or CorrelateSettings())
    step.step(kafka(contracts))
    return step


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
    assert "was deployed into the open incident and is not its rollback" in told[-1].change
    assert told[-1].updated_at == START + 2 * MINUTE


def test_a_rollback_into_an_open_incident_is_not_flagged_but_logged():
    back = deployment("d-43", before_s=-120, from_version="v42", to_version="v41")
    incident = only(deployment(), back, REFUSED, tick(START + 3 * MINUTE))
    assert incident.log[-1].text == "rolled back: prompt v42 -> v41 (d-43) takes back d-42"


def test_a_change_after_the_resolution_is_not_flagged():
    change = deployment("d-9", before_s=-20 * 60)
    assert [each.status for each in revisions(change, REFUSED, BACK, tick(START + 30 * MINUTE))][-1] == "resolved"
    assert not any(entry.event == "deployment" for entry in only(change, REFUSED, BACK, tick(START + 60 * MINUTE)).log)


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
    patient = CorrelateSettings(resolve_quiet_s=3_600)
    assert only(REFUSED, BACK, tick(START + 60 * MINUTE), settings=patient).status == "mitigated"


def test_the_step_reads_no_clock_of_its_own():
    step = started(None, REFUSED, BACK)
    assert step.tick(START + 60 * MINUTE) == []
    assert step.control(kafka([REFUSED])[0]) == []
    step.restart_walks()
    assert incidents(step.step(kafka([tick(QUIET_UNTIL)])))[0].status == "resolved"


# limits


def test_beyond_the_limit_the_oldest_resolved_incident_is_dropped():
    few = CorrelateSettings(incidents_max=1)
    step = started(few, REFUSED, BACK, tick(QUIET_UNTIL))
    told = incidents(step.step(kafka([drift(subject="search", start=START + 60 * MINUTE)])))
    assert [(each.subject, each.status) for each in told] == [("search", "open")]
    assert step.limits_hit["incidents_max"] == 1
    assert len([key for key, value in step.changed() if key.startswith(b"incident/") and value]) == 1


def test_if_all_are_open_the_one_longest_unmoved_is_closed_and_says_why():
    few = CorrelateSettings(incidents_max=1)
    told = incidents(started(few, REFUSED).step(kafka([drift(subject="search", start=START + 60 * MINUTE)])))
    assert [(each.subject, each.status) for each in told] == [("search", "open"), ("support-bot", "resolved")]
    assert "raise correlate.incidents_max" in told[-1].change


def test_the_running_log_is_bounded_and_keeps_the_opening():
    said = [command("acknowledge", only(REFUSED).incident_id, at=START + each * MINUTE) for each in range(1, 30)]
    incident = only(REFUSED, *said, settings=CorrelateSettings(log_entries_max=5))
    assert len(incident.log) == 5
    assert (incident.log[0].event, incident.log[-1].at) == ("opened", START + 29 * MINUTE)


def test_the_drifts_of_an_incident_are_bounded_and_recovered_ones_make_room():
    few = CorrelateSettings(drifts_max=2)
    first, second, third = (drift(signal, now=0.05) for signal in ("refused", "empty", "hallucinated"))
    assert {line.signal for line in only(first, second, third, settings=few).evidence} == {"refused", "empty"}
    incident = only(first, second, later(first, 10), third, settings=few)
    assert {line.signal for line in incident.evidence} == {"empty", "hallucinated"}


def test_deployments_and_shifts_beyond_their_limits_leave_state():
    step = started(CorrelateSettings(deployments_max=2, causes_max=1), *(deployment(f"d-{each}") for each in range(5)))
    step.step(kafka([drift("input_tokens"), drift("input_length")]))
    state = {key: value is not None for key, value in step.changed()}
    assert [key for key, kept in state.items() if kept] == [
        b"deployment/d-3",
        b"deployment/d-4",
        b"shift/" + (drift("input_length").drift_id.encode()),
    ]
    assert step.limits_hit == {"deployments_max": 3, "causes_max": 1}


def test_the_largest_incident_fits_into_one_part_and_one_message():
    step, outputs = started(), []
    long = {"sentence": "s" * 400, "environment": "e" * 200, "provider": "p" * 200}
    for number in range(400):
        fields = long | {
            "drift_id": f"{number:0200}",
            "segment": f"tenant={number:0190}",
            "request_id": f"{number:0200}",
        }
        opened = drift(start=START + number, **fields)
        outputs += step.step(kafka([opened, later(opened, 1, "evidence")]))
    assert max(len(output.value) for output in outputs) < 500_000
    sizes = [len(value) for _, value in step.changed()]
    assert 200_000 < max(sizes) <= PART_BYTES_MAX


# state


def test_only_what_changed_is_written():
    step = started(None, deployment(), REFUSED, tick(START + SECOND))
    assert [key.split(b"/")[0] for key, _ in step.changed()] == [b"clocks", b"deployment", b"incident"]
    assert list(step.changed()) == []
    step.step(kafka([tick(START + 2 * SECOND)]))
    assert [key for key, _ in step.changed()] == [b"clocks/"]


def test_state_that_does_not_fit_is_left_out_with_a_line_each_and_the_rest_taken_up():
    parts = dict(started(None, deployment(), REFUSED).changed())
    [incident] = [key for key in parts if key.startswith(b"incident/")]
    bad = {
        b"incident/inc-1": b"nonsense",
        b"incident/inc-2": encode({"incident_id": "inc-2"}, kind="incident", settings_hash=""),
        b"deployment/d-1": encode({"arrival": 0, "deployment": {}}, kind="deployment", settings_hash=""),
        b"rumour/1": encode({}, kind="rumour", settings_hash=""),
        b"\xff\xfe": b"",
    }
    step = CorrelateStep(CorrelateSettings())
    lines = list(step.restore((bad | parts).items()))
    assert len(lines) == len(bad)
    assert all("is left out" in line for line in lines)
    [told] = incidents(step.step(kafka([BACK])))
    assert (told.incident_id, told.revision) == (incident.decode().split("/")[1], 2)


def test_other_settings_forget_no_open_incident():
    parts = dict(started(None, REFUSED).changed())
    step = CorrelateStep(CorrelateSettings(join_window_s=5, resolve_quiet_s=1))
    assert list(step.restore(parts.items())) == []
    assert [each.revision for each in incidents(step.step(kafka([BACK, tick(START + 20 * MINUTE)])))] == [2, 3]
