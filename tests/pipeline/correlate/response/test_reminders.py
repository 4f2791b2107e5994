"""Reminders: what is overdue is said once, dated to when it was due, and silence is kept where nothing is."""

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


def told_leadership(step, at):
    """What `note --communicated internal` does to an incident's facts."""
    [facts] = step._table.incidents
    facts.note(at, "note", "told leadership", entries_max=100)
    facts.communicated["internal"] = at


def test_before_anything_is_due_nothing_is_said():
    assert len(revisions(EXPOSED, tick(START + 4 * MINUTE))) == 1


def test_a_p1_that_nobody_touches_is_reminded_of_each_thing_when_it_is_due():
    incident = only(EXPOSED, *ticks(0.6))
    assert reminders(incident) == [
        (
            FIRED + AT_ONCE_MS,
            (
                "containment was due at 03:12Z and no mitigation, rollback or kill switch is known: switch the feature off or "
                "roll back"
            ),
        ),
        (
            FIRED + 15 * MINUTE,
            (
                f"classification was due at 03:27Z and nobody has acknowledged or classified it: `driftwire incident ack {ID}` "
                f"or `classify {ID}`"
            ),
        ),
        (
            FIRED + 15 * MINUTE,
            f"an incident commander was due at 03:27Z and nobody is named: `driftwire incident assign {ID} NAME`",
        ),
        (
            FIRED + 30 * MINUTE,
            (
                "the first communication was due at 03:42Z and is not recorded: tell leadership, then "
                f"`driftwire incident note {ID} --communicated internal`"
            ),
        ),
    ]


def test_a_reminder_is_a_revision_that_says_what_is_overdue():
    told = revisions(EXPOSED, *ticks(0.5))
    assert [each.revision for each in told] == [1, 2, 3]
    assert told[1].change.startswith("containment was due at 03:12Z")
    assert told[1].updated_at == FIRED + AT_ONCE_MS
    assert told[2].change.count("was due at 03:27Z") == 2


def test_however_coarse_the_ticks_the_reminders_are_the_same():
    fine, coarse = only(EXPOSED, *ticks(5, every=SECOND)), only(EXPOSED, tick(START + 5 * HOUR))
    same = {"revision": 1, "change": ""}
    assert fine.model_copy(update=same) == coarse.model_copy(update=same)


def test_what_was_done_in_time_is_not_reminded_of():
    said = [command("acknowledge", ID), command("assign", ID, assignee="ben")]
    back = later(EXPOSED, 4 * 60)
    incident = only(EXPOSED, *said, back, *ticks(0.08))
    assert reminders(incident) == []


def test_what_is_done_late_was_reminded_of_once_and_stays_in_the_log():
    late = command("acknowledge", ID, at=START + 20 * MINUTE)
    incident = only(EXPOSED, tick(START + 19 * MINUTE), late, *ticks(0.6, every=5 * MINUTE))
    assert heads(incident).count("classification") == 1


def test_what_was_done_in_time_is_not_reminded_of_though_its_clock_runs_ahead():
    said = command("acknowledge", ID)
    assert "classification" not in heads(only(EXPOSED, said, tick(START + HOUR)))


def test_a_week_of_nobody_doing_anything_gives_five_missed_communications_and_says_that_it_is_silent_then():
    incident = only(EXPOSED, *ticks(7 * 24, every=10 * MINUTE))
    missed = [(at, text) for at, text in reminders(incident) if text.startswith("the next communication")]
    assert [at for at, _ in missed] == [FIRED + (60 + 30 * each) * MINUTE for each in range(5)]
    assert missed[-1][1].endswith("5 in a row without anybody doing anything: no more of these until somebody does")
    assert not any("in a row" in text for _, text in missed[:-1])


def test_fewer_in_a_row_can_be_asked_for():
    few = CorrelateSettings(reminders_max=2)
    assert heads(only(EXPOSED, *ticks(24, every=10 * MINUTE), settings=few)).count("the next communication") == 2


def test_whoever_does_something_is_reminded_again():
    said = command("acknowledge", ID, at=START + 10 * HOUR)
    incident = only(EXPOSED, tick(START + 10 * HOUR - SECOND), said, tick(START + 24 * HOUR))
    missed = [at for at, text in reminders(incident) if text.startswith("the next communication")]
    assert len(missed) == 10
    assert [at for at in missed if at > said.at] == [FIRED + 10 * HOUR + each * 30 * MINUTE for each in range(5)]


def test_who_tells_leadership_is_reminded_half_an_hour_after_that():
    step = CorrelateStep(CorrelateSettings())
    step.step(kafka([EXPOSED]))
    told_leadership(step, START + 20 * MINUTE)
    [*_, incident] = incidents(step.step(kafka([command("acknowledge", ID), *ticks(0.9)])))
    done = {target.name: target.done_at for target in incident.response_targets}
    assert done["first_communication"] == START + 20 * MINUTE
    assert not any("communication" in each for each in heads(incident)[:-1])
    assert reminders(incident)[-1][0] == START + 50 * MINUTE
    told_leadership(step, START + 55 * MINUTE)
    [*_, incident] = incidents(step.step(kafka([command("classify", ID, severity="P1"), *ticks(1.5)])))
    done = {target.name: target.done_at for target in incident.response_targets}
    assert done["first_communication"] == START + 20 * MINUTE  # the first stays the first
    assert reminders(incident)[-1][0] == START + 85 * MINUTE


def test_a_rollback_in_time_answers_containment_even_if_it_is_told_late():
    change = deployment()
    back = deployment("d-43", before_s=-120, from_version="v42", to_version="v41")
    known = only(change, EXPOSED, back, *ticks(0.2))
    late = revisions(change, EXPOSED, *ticks(0.2), back)
    assert "containment" in heads(late[-2])
    assert "containment" not in heads(known)
    same = {"revision": 1, "change": ""}
    assert late[-1].model_copy(update=same) == known.model_copy(update=same)


def test_a_p3_is_reminded_of_its_fix_alone_and_in_business_hours():
    incident = only(REFUSED, *ticks(24))
    assert reminders(incident) == [
        (
            START + 13 * HOUR + 48 * MINUTE,
            "the fix was due at 17:00Z and the incident is open: fix it, or classify it anew",
        )
    ]


def test_a_p4_is_left_in_peace_until_its_sprint_is_over():
    p4 = drift("length", tier="ticket")
    assert len(revisions(p4, *ticks(10 * 24, every=HOUR))) == 1
    assert heads(only(p4, *ticks(15 * 24, every=HOUR))) == ["the fix"]


def test_a_resolved_incident_is_reminded_of_its_review_alone():
    back = later(EXPOSED, 60)
    resolved = only(EXPOSED, back, *ticks(71, every=10 * MINUTE))
    assert (resolved.status, reminders(resolved)) == ("resolved", [])
    later_on = only(EXPOSED, back, *ticks(80, every=10 * MINUTE))
    assert heads(later_on) == ["the review"]
    assert reminders(later_on)[0][0] == resolved.resolved_at + 72 * HOUR
    assert later_on.status == "resolved"


def test_a_resolved_p3_is_left_in_peace():
    assert reminders(only(REFUSED, later(REFUSED, 60), *ticks(80, every=10 * MINUTE))) == []


def test_a_resolution_that_is_given_up_brings_no_reminders_of_the_time_it_lasted():
    again = drift("pii_detected", start=START + 25 * MINUTE, drift_id="again")
    quick = CorrelateSettings(resolve_after_s=60)
    incident = only(EXPOSED, later(EXPOSED, 60), *ticks(0.4), again, *ticks(1.2), settings=quick)
    assert incident.status == "open"
    missed = [at for at, text in reminders(incident) if text.startswith("the next communication")]
    assert missed == [FIRED + HOUR]


def test_an_incident_that_is_off_again_hours_later_starts_its_row_anew():
    back, patient = later(EXPOSED, 60), CorrelateSettings(reopen_window_s=36_000)
    again = drift("pii_detected", start=START + 5 * HOUR, drift_id="again")
    incident = only(EXPOSED, back, *ticks(4, every=10 * MINUTE), again, *ticks(6, every=10 * MINUTE), settings=patient)
    assert (incident.status, len(incident.evidence)) == ("open", 2)
    missed = [at for at, text in reminders(incident) if text.startswith("the next communication")]
    assert missed == [FIRED + 5 * HOUR + 30 * MINUTE]


def test_a_merged_incident_is_never_reminded(monkeypatch):
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
def test_a_restart_in_between_gives_the_same_reminders_once_each(minutes):
    messages = [EXPOSED, *ticks(5)]
    expected = incidents(CorrelateStep(CorrelateSettings()).step(kafka(messages)))
    first, second = CorrelateStep(CorrelateSettings()), CorrelateStep(CorrelateSettings())
    outputs = first.step(kafka(messages[:minutes]))
    assert list(second.restore([(key, value) for key, value in first.changed() if value is not None])) == []
    outputs += second.step(kafka(messages[minutes:]))
    assert incidents(outputs) == expected
