"""When an incident counts as contained, and what its drafts and reminders then say."""

import pytest

from pipeline.correlate.revision import build_drafts
from pipeline.correlate.settings import CorrelateSettings
from tests.pipeline.correlate.builders import MINUTE, SECOND, START, command, deployment, drift, later, only, tick

REFUSED, EXPOSED = drift(), drift("pii_detected")
P1_ID, P3_ID = only(EXPOSED).incident_id, only(REFUSED).incident_id
SWITCHES = CorrelateSettings(kill_switches={"support-bot": "bot_on"})
OFF = deployment("f-1", before_s=-60, kind="flag", name="bot_on", from_version="on", to_version="off")
ON = deployment("f-2", before_s=-120, kind="flag", name="bot_on", from_version="off", to_version="on")
LATER = tick(START + 20 * MINUTE)


def contained_at(incident):
    [target] = [one for one in incident.response_targets if one.name == "contain"]
    return target.done_at


def reminded(incident):
    return any(entry.event == "reminder" and entry.text.startswith("containment") for entry in incident.log)


def texts(incident):
    return {draft.audience: draft.text for draft in build_drafts(incident)}


# the kill switch


def test_the_kill_switch_contains_and_there_is_no_reminder():
    incident = only(EXPOSED, OFF, LATER, settings=SWITCHES)
    assert contained_at(incident) == OFF.timestamp
    assert not reminded(incident)


def test_the_drafts_report_the_switch_and_do_not_ask_for_it_again():
    drafts = texts(only(EXPOSED, OFF, LATER, settings=SWITCHES))
    assert "What we have done: we switched it off at 2026-11-24 03:13 UTC." in drafts["external"]
    assert "Done: we switched it off at 2026-11-24 03:13 UTC." in drafts["internal"]
    assert "Now: filter:" in drafts["internal"]


def test_a_feature_that_is_on_again_is_no_longer_contained():
    incident = only(EXPOSED, OFF, ON, LATER, settings=SWITCHES)
    assert contained_at(incident) is None
    assert "[nothing is recorded" in texts(incident)["external"]


# rollbacks


def test_an_unrelated_rollback_contains_nothing_and_is_logged():
    library = {"kind": "dependency", "name": "library", "subject": None, "environment": "production"}
    change = deployment("l-1", before_s=1_800, from_version="1", to_version="2", **library)
    rollback = deployment("l-2", before_s=-60, from_version="2", to_version="1", **library)
    exposed = EXPOSED.model_copy(update={"environment": "production"})
    incident = only(change, deployment(), exposed, rollback, LATER)
    assert contained_at(incident) is None
    assert reminded(incident)
    assert "[nothing is recorded" in texts(incident)["external"]
    assert [entry.text for entry in incident.log if entry.event == "rollback"]


def test_the_rollback_of_the_cause_contains():
    rollback = deployment("d-43", before_s=-60, from_version="v42", to_version="v41")
    incident = only(deployment(), EXPOSED, rollback, LATER)
    assert (contained_at(incident), reminded(incident)) == (rollback.timestamp, False)


# mitigations


def test_a_mitigation_contains():
    mitigation = command("mitigate", P1_ID, at=START + 2 * MINUTE)
    incident = only(EXPOSED, mitigation, LATER)
    assert (contained_at(incident), reminded(incident)) == (mitigation.at, False)


def test_a_mitigation_does_not_cover_what_gets_worse_later():
    mitigation = command("mitigate", P3_ID, at=START + 2 * MINUTE)
    worse = drift("pii_detected", start=START + SECOND, after_s=180)
    incident = only(REFUSED, mitigation, worse, LATER)
    assert incident.severity == "P1"
    assert contained_at(incident) is None
    assert reminded(incident)


@pytest.mark.parametrize("undo", ["a person", "a signal"])
def test_an_undone_mitigation_gives_no_reminder_for_the_time_while_it_held(undo):
    mitigation, at = command("mitigate", P1_ID, at=START + 2 * MINUTE), START + 15 * MINUTE
    worse = later(EXPOSED, 15 * 60, "evidence", now=0.6)
    incident = only(EXPOSED, mitigation, command("reopen", P1_ID, at=at) if undo == "a person" else worse, LATER)
    assert contained_at(incident) is None
    assert not reminded(incident)


def test_signals_that_were_back_when_containment_was_due_give_no_reminder_later():
    again = drift("pii_detected", start=START + 15 * MINUTE, drift_id="again")
    incident = only(EXPOSED, later(EXPOSED, 60), tick(START + 10 * MINUTE - SECOND), again, LATER)
    assert (incident.status, contained_at(incident), reminded(incident)) == ("open", None, False)
