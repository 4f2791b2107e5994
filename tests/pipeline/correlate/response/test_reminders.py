"""Reminders: one per overdue target, dated to its due time, and none for anything else."""

import random

import pytest

from pipeline.correlate.incidents.incident_state import IncidentState
from pipeline.correlate.response.reminders import AT_ONCE_MS
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
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
    only,
    revisions,
    tick,
)
from tests.pipeline.correlate.worlds import content, interleaved

HOUR = 60 * MINUTE
REFUSED, EXPOSED = drift(), drift("pii_detected")
FIRED = EXPOSED.detected_at
ID, P3_ID = only(EXPOSED).incident_id, only(REFUSED).incident_id


def ticks(hours, every=MINUTE):
    return [tick(at) for at in range(START, START + round(hours * HOUR) + 1, every)]


def reminders(incident):
    return [(entry.at, entry.text) for entry in incident.log if entry.event == "reminder"]


def heads(incident):
    return [text.split(" was due")[0].split(" is due")[0] for _, text in reminders(incident)]


def record_communication(step, at):
    """Do what `note --communicated internal` does to the state of an incident."""
    [incident] = step._table.incidents
    incident.add_log_entry(at, "note", "informed leadership", entries_max=100)
    incident.communicated["internal"] = at


def test_before_anything_is_due_there_is_no_reminder():
    assert len(revisions(EXPOSED, tick(START + 4 * MINUTE))) == 1


def test_a_p1_without_any_action_has_a_reminder_for_each_target_when_it_is_due():
    contain = "no mitigation, rollback or kill switch is recorded: switch the feature off or roll back"
    classify = f"run `driftwire incident ack {ID}` or `driftwire incident classify {ID}`"
    assign = f"run `driftwire incident assign {ID} NAME`"
    note = f"run `driftwire incident note {ID} --communicated internal`"
    assert reminders(only(EXPOSED, *ticks(0.6))) == [
        (FIRED + AT_ONCE_MS, f"containment was due at 03:12Z and {contain}"),
        (
            FIRED + 15 * MINUTE,
            f"classification was due at 03:27Z and nobody has acknowledged or classified the incident: {classify}",
        ),
        (FIRED + 15 * MINUTE, f"an incident commander was due at 03:27Z and none is assigned: {assign}"),
        (
            FIRED + 30 * MINUTE,
            f"the first communication was due at 03:42Z and is not recorded: inform leadership, then {note}",
        ),
    ]


def test_a_reminder_is_a_revision_that_states_what_is_overdue():
    published = revisions(EXPOSED, *ticks(0.5))
    assert [revision.revision for revision in published] == [1, 2, 3]
    assert published[1].change.startswith("containment was due at 03:12Z")
    assert published[1].updated_at == FIRED + AT_ONCE_MS
    assert published[2].change.count("was due at 03:27Z") == 2


@pytest.mark.slow
def test_the_reminders_do_not_depend_on_the_interval_of_the_ticks():
    fine, coarse = only(EXPOSED, *ticks(5, every=SECOND)), only(EXPOSED, tick(START + 5 * HOUR))
    same = {"revision": 1, "change": ""}
    assert fine.model_copy(update=same) == coarse.model_copy(update=same)


def test_a_target_that_was_met_in_time_has_no_reminder():
    commands = [command("acknowledge", ID), command("assign", ID, assignee="ben")]
    back = later(EXPOSED, 4 * 60)
    incident = only(EXPOSED, *commands, back, *ticks(0.08))
    assert reminders(incident) == []


def test_a_target_that_was_met_late_has_one_reminder_which_stays_in_the_log():
    late = command("acknowledge", ID, at=START + 20 * MINUTE)
    incident = only(EXPOSED, tick(START + 19 * MINUTE), late, *ticks(0.6, every=5 * MINUTE))
    assert heads(incident).count("classification") == 1


def test_a_target_that_was_met_in_time_has_no_reminder_when_the_clock_jumps():
    assert "classification" not in heads(only(EXPOSED, command("acknowledge", ID), tick(START + HOUR)))


def test_a_week_without_action_has_five_reminders_of_communications_and_the_last_announces_the_end():
    incident = only(EXPOSED, *ticks(7 * 24, every=10 * MINUTE))
    missed = [(at, text) for at, text in reminders(incident) if text.startswith("the next communication")]
    assert [at for at, _ in missed] == [FIRED + (60 + 30 * number) * MINUTE for number in range(5)]
    assert missed[-1][1].endswith("; 5 reminders in a row without any action: no more follow until somebody acts")
    assert not any("in a row" in text for _, text in missed[:-1])


def test_the_number_in_a_row_can_be_set():
    few = CorrelateSettings(reminders_max=2)
    assert heads(only(EXPOSED, *ticks(24, every=10 * MINUTE), settings=few)).count("the next communication") == 2


def test_reminders_start_again_after_an_action():
    acknowledged = command("acknowledge", ID, at=START + 10 * HOUR)
    incident = only(EXPOSED, tick(START + 10 * HOUR - SECOND), acknowledged, tick(START + 24 * HOUR))
    missed = [at for at, text in reminders(incident) if text.startswith("the next communication")]
    assert len(missed) == 10
    after = [FIRED + 10 * HOUR + number * 30 * MINUTE for number in range(5)]
    assert [at for at in missed if at > acknowledged.at] == after


def test_the_next_communication_is_due_half_an_hour_after_the_last():
    step = CorrelateStep(CorrelateSettings())
    step.step(kafka([EXPOSED]))
    record_communication(step, START + 20 * MINUTE)
    [*_, incident] = incidents(step.step(kafka([command("acknowledge", ID), *ticks(0.9)])))
    done = {target.name: target.done_at for target in incident.response_targets}
    assert done["first_communication"] == START + 20 * MINUTE
    assert not any("communication" in head for head in heads(incident)[:-1])
    assert reminders(incident)[-1][0] == START + 50 * MINUTE
    record_communication(step, START + 55 * MINUTE)
    [*_, incident] = incidents(step.step(kafka([command("classify", ID, severity="P1"), *ticks(1.5)])))
    done = {target.name: target.done_at for target in incident.response_targets}
    assert done["first_communication"] == START + 20 * MINUTE  # the first stays the first
    assert reminders(incident)[-1][0] == START + 85 * MINUTE


def test_a_rollback_in_time_withdraws_the_reminder_even_if_it_is_reported_late():
    change = deployment()
    back = deployment("d-43", before_s=-120, from_version="v42", to_version="v41")
    in_time = only(change, EXPOSED, back, *ticks(0.2))
    late = revisions(change, EXPOSED, *ticks(0.2), back)
    assert "containment" in heads(late[-2])
    assert "containment" not in heads(in_time)
    same = {"revision": 1, "change": ""}
    assert late[-1].model_copy(update=same) == in_time.model_copy(update=same)


def test_a_p3_has_a_reminder_only_for_its_fix_in_business_hours():
    incident = only(REFUSED, *ticks(24))
    assert reminders(incident) == [
        (
            START + 13 * HOUR + 48 * MINUTE,
            "the fix was due at 17:00Z and the incident is open: fix it or reclassify it",
        )
    ]


def test_a_p4_has_no_reminder_until_its_sprint_is_over():
    p4 = drift("length", tier="ticket")
    assert len(revisions(p4, *ticks(10 * 24, every=HOUR))) == 1
    assert heads(only(p4, *ticks(15 * 24, every=HOUR))) == ["the fix"]


def test_a_resolved_incident_has_a_reminder_only_for_its_review():
    back = later(EXPOSED, 60)
    resolved = only(EXPOSED, back, *ticks(71, every=10 * MINUTE))
    assert (resolved.status, reminders(resolved)) == ("resolved", [])
    later_on = only(EXPOSED, back, *ticks(80, every=10 * MINUTE))
    assert heads(later_on) == ["the review"]
    assert reminders(later_on)[0][0] == resolved.resolved_at + 72 * HOUR
    assert later_on.status == "resolved"


def test_a_resolved_p3_has_no_reminder():
    assert reminders(only(REFUSED, later(REFUSED, 60), *ticks(80, every=10 * MINUTE))) == []


def test_a_reopened_incident_has_no_reminders_of_the_time_it_was_resolved():
    again = drift("pii_detected", start=START + 25 * MINUTE, drift_id="again")
    quick = CorrelateSettings(resolve_after_s=60)
    incident = only(EXPOSED, later(EXPOSED, 60), *ticks(0.4), again, *ticks(1.2), settings=quick)
    assert incident.status == "open"
    missed = [at for at, text in reminders(incident) if text.startswith("the next communication")]
    assert missed == [FIRED + HOUR]


def test_an_incident_that_reopens_hours_later_starts_a_new_row_of_reminders():
    back, patient = later(EXPOSED, 60), CorrelateSettings(reopen_window_s=36_000)
    again = drift("pii_detected", start=START + 5 * HOUR, drift_id="again")
    incident = only(EXPOSED, back, *ticks(4, every=10 * MINUTE), again, *ticks(6, every=10 * MINUTE), settings=patient)
    assert (incident.status, len(incident.evidence)) == ("open", 2)
    missed = [at for at, text in reminders(incident) if text.startswith("the next communication")]
    assert missed == [FIRED + 5 * HOUR + 30 * MINUTE]


def test_a_merged_incident_has_no_reminders(monkeypatch):
    monkeypatch.setattr(IncidentState, "status", "merged")
    assert reminders(only(EXPOSED, *ticks(24, every=10 * MINUTE))) == []


@pytest.mark.parametrize("seed", range(6))
def test_reminders_do_not_depend_on_how_ticks_and_deployments_interleave(seed):
    random_ = random.Random(seed)
    story = [EXPOSED, *ticks(1), later(EXPOSED, 65 * 60), *ticks(90, every=10 * MINUTE)]
    deployments = [
        deployment(),
        deployment("d-43", before_s=-random_.randint(60, 900), from_version="v42", to_version="v41"),
        deployment("d-44", before_s=-random_.randint(60, 7_200), kind="index"),
    ]
    expected = content(
        CorrelateStep(CorrelateSettings(regimes=("gdpr", "apra_cps_230"))).step(kafka([*deployments, *story]))
    )
    for _ in range(3):
        random_.shuffle(deployments)
        mixed = interleaved(random_, story, deployments)
        assert (
            content(CorrelateStep(CorrelateSettings(regimes=("gdpr", "apra_cps_230"))).step(kafka(mixed))) == expected
        )


@pytest.mark.parametrize("minutes", [1, 20, 45, 200])
def test_a_restart_does_not_change_or_repeat_reminders(minutes):
    messages = [EXPOSED, *ticks(5)]
    expected = incidents(CorrelateStep(CorrelateSettings()).step(kafka(messages)))
    first, second = CorrelateStep(CorrelateSettings()), CorrelateStep(CorrelateSettings())
    outputs = first.step(kafka(messages[:minutes]))
    assert list(second.restore([(key, value) for key, value in first.changed() if value is not None])) == []
    outputs += second.step(kafka(messages[minutes:]))
    assert incidents(outputs) == expected
