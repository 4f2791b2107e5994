"""Severity rises at once. It falls when the rules have assigned less for a while, or when a person lowers it."""

import pytest

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from tests.pipeline.correlate.builders import (
    MINUTE,
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

BROKEN = drift("empty", now=0.9)
"""A drift that is a P2 alone."""

WORSE_QUALITY = drift("refused")
"""A drift that is a P3 alone."""

BACK_AT = BROKEN.detected_at + 2 * MINUTE
FALLS_AT = BACK_AT + 10 * MINUTE


def broken_and_back():
    """A P2 with two signals. The signal that makes it a P2 recovers after two minutes."""
    return [BROKEN, WORSE_QUALITY, later(BROKEN, 120)]


def severities(incident):
    return [entry for entry in incident.log if entry.event == "severity"]


def test_it_falls_with_a_reason_when_the_rules_have_asked_for_less_for_ten_minutes():
    assert only(*broken_and_back(), tick(FALLS_AT - 1)).severity == "P2"
    incident = only(*broken_and_back(), tick(FALLS_AT))
    assert (incident.severity, incident.severity_rule, incident.failure_mode) == ("P3", "quality_loss", "refusal_spike")
    [line] = severities(incident)
    assert line.text == (
        "severity P2 -> P3 by the rule quality_loss: users see lower quality, but the feature still works "
        "(refused 9.1 % at detection, normally 1.0 %), lower since 03:14:05Z (10 min)"
    )
    assert "severity P2 -> P3" in incident.change


def test_the_fall_is_dated_to_the_end_of_the_wait_even_if_the_tick_is_late():
    late = only(*broken_and_back(), tick(FALLS_AT + 7 * MINUTE))
    assert severities(late)[0].at == FALLS_AT
    assert late.model_copy(update={"revision": 1}) == only(*broken_and_back(), tick(FALLS_AT)).model_copy(
        update={"revision": 1}
    )


def test_a_drift_advances_the_clock_as_a_tick_does():
    evidence = later(WORSE_QUALITY, 13 * 60, "evidence")
    assert severities(only(*broken_and_back(), evidence))[0].at == FALLS_AT


def test_the_wait_can_be_set():
    settings = CorrelateSettings(deescalate_after_s=60)
    assert only(*broken_and_back(), tick(BACK_AT + MINUTE), settings=settings).severity == "P3"


def test_better_numbers_count_like_a_recovery():
    better = later(BROKEN, 60, "evidence", now=0.1)
    incident = only(BROKEN, better, tick(better.updated_at + 10 * MINUTE))
    assert (incident.severity, incident.severity_rule) == ("P3", "quality_loss")
    assert "empty 10.0 %" in incident.severity_reason


def test_a_relapse_restarts_the_wait():
    first = later(BROKEN, 60, "evidence", now=0.1)
    again = later(BROKEN, 300, "evidence", sequence=2, now=0.6)
    better = later(BROKEN, 400, "evidence", sequence=3, now=0.1)
    assert only(BROKEN, first, again, better, tick(first.updated_at + 11 * MINUTE)).severity == "P2"
    assert only(BROKEN, first, again, better, tick(better.updated_at + 10 * MINUTE)).severity == "P3"


def test_it_falls_to_the_worst_severity_during_the_wait():
    shift = drift("confidence", effect=-0.1)
    recovery = later(WORSE_QUALITY, 360)
    history = [BROKEN, WORSE_QUALITY, shift, later(BROKEN, 120), recovery]
    published = revisions(*history, tick(FALLS_AT), tick(FALLS_AT + 10 * MINUTE))
    assert [incident.severity for incident in published[-2:]] == ["P3", "P4"]


def test_it_rises_again_immediately():
    again = drift("empty", start=START + 11 * MINUTE, after_s=120, now=0.9)
    incident = only(*broken_and_back(), tick(FALLS_AT), again)
    assert incident.severity == "P2"
    assert [line.text[:17] for line in severities(incident)] == ["severity P2 -> P3", "severity P3 -> P2"]


def test_a_wider_blast_radius_raises_it():
    canary = drift("refused", segment="prompt=v42", traffic_share=0.05)
    wider = later(canary, 300, "evidence", sequence=2, traffic_share=0.5)
    published = revisions(canary, later(canary, 200, "evidence", traffic_share=0.06), wider)
    assert [incident.severity for incident in published] == ["P4", "P3"]
    assert (published[0].severity_moved_by, published[1].severity_moved_by) == ("small_part", None)


@pytest.mark.parametrize("signal", ["pii_detected", "policy_violation", "probe_blocked", "jailbreak_suspected"])
def test_only_a_person_lowers_the_severity_of_harm(signal):
    harm = drift(signal)
    history = [harm, WORSE_QUALITY, later(harm, 120), tick(START + 60 * MINUTE)]
    assert only(*history).severity == "P1"
    classified = command("classify", only(harm).incident_id, severity="P3", at=START + 61 * MINUTE)
    assert only(*history, classified).severity == "P3"


def test_a_resolved_incident_keeps_its_severity():
    history = [*broken_and_back(), later(WORSE_QUALITY, 300)]
    assert only(*history, tick(START + 30 * MINUTE)).status == "resolved"
    assert only(*history, tick(START + 30 * MINUTE)).severity == "P2"


def test_an_incident_that_reopens_milder_falls_after_a_wait():
    again = drift("refused", start=START + 20 * MINUTE)
    history = [*broken_and_back(), later(WORSE_QUALITY, 300), tick(START + 15 * MINUTE), again]
    assert only(*history, tick(again.detected_at + 10 * MINUTE - 1)).severity == "P2"
    assert only(*history, tick(again.detected_at + 10 * MINUTE)).severity == "P3"


def test_it_never_falls_below_a_persons_severity():
    classified = command("classify", only(BROKEN).incident_id, severity="P2")
    incident = only(*broken_and_back(), classified, tick(FALLS_AT))
    assert (incident.severity, incident.severity_rule, severities(incident)) == ("P2", "classified_by_a_person", [])


def test_a_fall_does_not_overrule_a_person_who_gave_less():
    classified = command("classify", only(BROKEN).incident_id, severity="P4")
    incident = only(*broken_and_back(), classified, tick(FALLS_AT))
    assert (incident.severity, severities(incident)) == ("P4", [])


def test_a_restart_changes_nothing():
    history = kafka([*broken_and_back(), tick(FALLS_AT - MINUTE), tick(FALLS_AT), tick(FALLS_AT + MINUTE)])
    undisturbed = incidents(CorrelateStep(CorrelateSettings()).step(history))
    for cut in range(1, len(history)):
        step = CorrelateStep(CorrelateSettings())
        published = incidents(step.step(history[:cut]))
        after = CorrelateStep(CorrelateSettings())
        assert list(after.restore((key, value) for key, value in step.changed() if value is not None)) == []
        assert published + incidents(after.step(history[cut:])) == undisturbed


def test_a_deployment_that_arrives_at_any_time_changes_no_severity():
    history = [*broken_and_back(), tick(FALLS_AT), tick(FALLS_AT + MINUTE)]
    expected = only(deployment(), *history)
    for index in range(1, len(history) + 1):
        incident = only(*history[:index], deployment(), *history[index:])
        same = {"revision": expected.revision, "change": expected.change}
        assert incident.model_copy(update=same) == expected
