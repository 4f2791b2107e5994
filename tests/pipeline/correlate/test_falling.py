"""Severity rises at once, and falls when the rules have said less for a while; some of it only a person takes down."""

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
"""A P2, by itself."""

WORSE_QUALITY = drift("refused")
"""A P3, by itself."""

BACK_AT = BROKEN.detected_at + 2 * MINUTE
FALLS_AT = BACK_AT + 10 * MINUTE


def broken_and_back():
    """A P2 of two signals; the one that made it a P2 is back after two minutes."""
    return [BROKEN, WORSE_QUALITY, later(BROKEN, 120)]


def severities(incident):
    return [entry for entry in incident.log if entry.event == "severity"]


def test_it_falls_when_the_rules_have_said_less_for_ten_minutes_and_says_why():
    assert only(*broken_and_back(), tick(FALLS_AT - 1)).severity == "P2"
    incident = only(*broken_and_back(), tick(FALLS_AT))
    assert (incident.severity, incident.severity_rule, incident.failure_mode) == ("P3", "quality_loss", "refusal_spike")
    [line] = severities(incident)
    assert line.text == (
        "severity P2 -> P3 by the rule quality_loss: users see lower quality, but the feature still works "
        "(refused 9.1 %, normally 1.0 %), so since 03:14:05Z (10 min)"
    )
    assert "severity P2 -> P3" in incident.change


def test_it_falls_as_of_the_moment_however_late_time_is_told():
    late = only(*broken_and_back(), tick(FALLS_AT + 7 * MINUTE))
    assert severities(late)[0].at == FALLS_AT
    assert late.model_copy(update={"revision": 1}) == only(*broken_and_back(), tick(FALLS_AT)).model_copy(
        update={"revision": 1}
    )


def test_a_message_tells_the_time_as_well_as_a_tick():
    evidence = later(WORSE_QUALITY, 13 * 60, "evidence")
    assert severities(only(*broken_and_back(), evidence))[0].at == FALLS_AT


def test_how_long_can_be_set():
    settings = CorrelateSettings(deescalate_after_s=60)
    assert only(*broken_and_back(), tick(BACK_AT + MINUTE), settings=settings).severity == "P3"


def test_numbers_that_get_better_count_as_a_signal_that_is_back_does():
    better = later(BROKEN, 60, "evidence", now=0.1)
    incident = only(BROKEN, better, tick(better.updated_at + 10 * MINUTE))
    assert (incident.severity, incident.severity_rule) == ("P3", "quality_loss")
    assert "empty 10.0 %" in incident.severity_reason


def test_what_is_bad_again_meanwhile_begins_the_wait_anew():
    first = later(BROKEN, 60, "evidence", now=0.1)
    again = later(BROKEN, 300, "evidence", sequence=2, now=0.6)
    better = later(BROKEN, 400, "evidence", sequence=3, now=0.1)
    assert only(BROKEN, first, again, better, tick(first.updated_at + 11 * MINUTE)).severity == "P2"
    assert only(BROKEN, first, again, better, tick(better.updated_at + 10 * MINUTE)).severity == "P3"


def test_it_falls_to_the_worst_of_what_was_said_meanwhile():
    shift = drift("confidence", effect=-0.1)
    back = later(WORSE_QUALITY, 360)
    history = [BROKEN, WORSE_QUALITY, shift, later(BROKEN, 120), back]
    told = revisions(*history, tick(FALLS_AT), tick(FALLS_AT + 10 * MINUTE))
    assert [each.severity for each in told[-2:]] == ["P3", "P4"]


def test_it_rises_again_at_once():
    again = drift("empty", start=START + 11 * MINUTE, after_s=120, now=0.9)
    incident = only(*broken_and_back(), tick(FALLS_AT), again)
    assert incident.severity == "P2"
    assert [line.text[:17] for line in severities(incident)] == ["severity P2 -> P3", "severity P3 -> P2"]


def test_a_wider_reach_is_a_rise():
    canary = drift("refused", segment="prompt=v42", traffic_share=0.05)
    wider = later(canary, 300, "evidence", sequence=2, traffic_share=0.5)
    told = revisions(canary, later(canary, 200, "evidence", traffic_share=0.06), wider)
    assert [each.severity for each in told] == ["P4", "P3"]
    assert (told[0].severity_moved_by, told[1].severity_moved_by) == ("small_part", None)


@pytest.mark.parametrize("signal", ["pii_detected", "policy_violation", "probe_blocked", "jailbreak_suspected"])
def test_harm_is_taken_down_by_a_person_alone(signal):
    harm = drift(signal)
    history = [harm, WORSE_QUALITY, later(harm, 120), tick(START + 60 * MINUTE)]
    assert only(*history).severity == "P1"
    said = command("classify", only(harm).incident_id, severity="P3", at=START + 61 * MINUTE)
    assert only(*history, said).severity == "P3"


def test_what_is_over_keeps_the_severity_that_it_had():
    history = [*broken_and_back(), later(WORSE_QUALITY, 300)]
    assert only(*history, tick(START + 30 * MINUTE)).status == "resolved"
    assert only(*history, tick(START + 30 * MINUTE)).severity == "P2"


def test_what_is_over_and_comes_back_milder_falls_after_a_while_of_its_own():
    again = drift("refused", start=START + 20 * MINUTE)
    history = [*broken_and_back(), later(WORSE_QUALITY, 300), tick(START + 15 * MINUTE), again]
    assert only(*history, tick(again.detected_at + 10 * MINUTE - 1)).severity == "P2"
    assert only(*history, tick(again.detected_at + 10 * MINUTE)).severity == "P3"


def test_it_never_falls_below_what_a_person_says():
    said = command("classify", only(BROKEN).incident_id, severity="P2")
    incident = only(*broken_and_back(), said, tick(FALLS_AT))
    assert (incident.severity, incident.severity_rule, severities(incident)) == ("P2", "classified_by_a_person", [])


def test_what_falls_does_not_overrule_a_person_who_said_less():
    said = command("classify", only(BROKEN).incident_id, severity="P4")
    incident = only(*broken_and_back(), said, tick(FALLS_AT))
    assert (incident.severity, severities(incident)) == ("P4", [])


def test_a_restart_in_between_changes_nothing():
    history = kafka([*broken_and_back(), tick(FALLS_AT - MINUTE), tick(FALLS_AT), tick(FALLS_AT + MINUTE)])
    whole = incidents(CorrelateStep(CorrelateSettings()).step(history))
    for cut in range(1, len(history)):
        step = CorrelateStep(CorrelateSettings())
        told = incidents(step.step(history[:cut]))
        after = CorrelateStep(CorrelateSettings())
        assert list(after.restore((key, value) for key, value in step.changed() if value is not None)) == []
        assert told + incidents(after.step(history[cut:])) == whole


def test_a_deployment_told_at_any_time_changes_no_severity():
    history = [*broken_and_back(), tick(FALLS_AT), tick(FALLS_AT + MINUTE)]
    expected = only(deployment(), *history)
    for place in range(1, len(history) + 1):
        incident = only(*history[:place], deployment(), *history[place:])
        told = {"revision": expected.revision, "change": expected.change}
        assert incident.model_copy(update=told) == expected
