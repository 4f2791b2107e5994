from pathlib import Path

import pytest

from pipeline.route.delivery import Dispatch
from pipeline.route.reasons import Reason
from schemas.incident import Containment, Incident, ResponseTarget
from tests.pipeline.route.samples import STARTED, alert, evidence, incident, suspect
from topologies.messages import render_text
from topologies.messages.message import (
    HEADLINE_LENGTH_MAX,
    TEXT_LENGTH_MAX,
    MessageAction,
    MessageFact,
    MessageLink,
    write_incident_message,
)

NEW = Reason("first_notification", "new to the receiver: P3 open")


def message(reason=NEW, decided_at=STARTED + 60_000, **changes):
    revision = incident(**changes)
    return write_incident_message(Dispatch(revision, "chat", "urgent", reason, alert(revision), decided_at))


def facts(**changes):
    return {fact.label: fact.text for fact in message(**changes).facts}


def test_a_new_incident_is_told_by_its_signals_its_suspect_and_what_to_do():
    told = message()
    assert told.headline == "P3 open: support-bot refuses 9.1 % of requests"
    assert told.news == ""
    assert told.facts == (
        MessageFact("What", "refused 1.0 % -> 9.1 % (at detection)"),
        MessageFact("Since", "2026-11-24 03:12:00Z, detected 41 s later"),
        MessageFact("Suspected cause", "prompt, deployed 03:11:40Z, 20 s before the start"),
        MessageFact("Scope", "production"),
        MessageFact("Due", "classify by 03:27:41Z (nobody assigned); fix by 2026-11-25 03:12:41Z (nobody assigned)"),
        MessageFact("Runbook", "docs/runbooks/refusal_spike.md"),
        MessageFact("Incident", "inc-3f9a21c0b7, revision 1"),
    )
    assert told.actions == (
        MessageAction("Acknowledge it", "driftwire incident ack inc-3f9a21c0b7"),
        MessageAction("Roll back prompt v42 -> v41"),
        MessageAction("Or switch off support-bot"),
    )


@pytest.mark.parametrize(
    ("zone", "since", "due"),
    [
        ("Europe/Berlin", " (04:12 CET)", " (04:27 CET)"),
        ("America/New_York", " (2026-11-23 22:12 EST)", " (2026-11-23 22:27 EST)"),
        ("Africa/Abidjan", "", ""),
    ],
)
def test_the_main_times_are_also_in_the_time_zone_of_the_receiver(zone, since, due):
    revision = incident()
    dispatch = Dispatch(revision, "chat", "urgent", NEW, alert(revision), STARTED + 60_000, time_zone=zone)
    told = {fact.label: fact.text for fact in write_incident_message(dispatch).facts}
    assert told["Since"] == f"2026-11-24 03:12:00Z{since}, detected 41 s later"
    assert told["Due"].startswith(f"classify by 03:27:41Z{due} (nobody assigned); fix by 2026-11-25 03:12:41Z")


def test_the_end_is_also_in_the_time_zone_of_the_receiver():
    revision = incident(status="resolved", resolved_at=STARTED + 3_600_000)
    dispatch = Dispatch(revision, "chat", "urgent", NEW, alert(revision), STARTED + 60_000, time_zone="Asia/Tokyo")
    told = {fact.label: fact.text for fact in write_incident_message(dispatch).facts}
    assert told["Lasted"] == "1 h, from 2026-11-24 03:12:00Z (12:12 JST) to 04:12:00Z (13:12 JST)"


def test_a_later_message_says_why_it_is_sent():
    reason = Reason("severity_changed", "severity P3 -> P2")
    assert message(reason).news == "severity P3 -> P2"


def test_a_value_that_was_measured_later_has_the_time_of_its_measurement():
    measured = [evidence("refused", measured_at=STARTED + 120_000)]
    assert facts(evidence=measured)["What"] == "refused 1.0 % -> 9.1 % (03:14:00Z)"


def test_a_time_on_another_day_has_a_date():
    measured = [evidence("refused", measured_at=STARTED + 86_400_000)]
    assert facts(evidence=measured)["What"] == "refused 1.0 % -> 9.1 % (2026-11-25 03:12:00Z)"


def test_only_signals_that_are_still_off_are_named_and_further_ones_are_counted():
    signals = [evidence(f"signal_{number}") for number in range(5)]
    told = facts(evidence=[*signals, evidence("back", state="recovered")])["What"]
    assert told.count("signal_") == 3
    assert told.endswith("; and 2 more")
    assert "back" not in told


def test_a_silence_is_told_by_its_sentence():
    silence = evidence("silence", channel="silence", sentence="no records for 5 min, normally at most 20 s")
    assert facts(evidence=[silence])["What"] == "no records for 5 min, normally at most 20 s"


def test_without_a_clear_suspect_no_cause_is_named():
    assert facts(suspects=[])["Suspected cause"] == "no deployment explains it"
    unclear = facts(suspects=[suspect(score=0.1)])["Suspected cause"]
    assert unclear == "no deployment clearly explains it; the nearest is prompt, 20 s before the start"


def test_a_resolved_incident_is_told_in_the_past_tense_at_its_worst():
    summary = "support-bot refused 16.0 % of requests at its worst, normally 1.0 %, from 03:12:00Z to 03:20:00Z."
    told = message(
        status="resolved",
        summary=summary,
        evidence=[evidence("refused", state="recovered", now=0.0102)],
        resolved_at=STARTED + 1_500_000,
    )
    assert told.headline == "P3 resolved: support-bot refuses 9.1 % of requests"
    assert told.facts[:2] == (
        MessageFact("What", summary),
        MessageFact("Lasted", "25 min, from 2026-11-24 03:12:00Z to 03:37:00Z"),
    )
    assert {fact.label for fact in told.facts}.isdisjoint({"Since", "Suspected cause", "Due", "Acknowledged"})
    assert told.actions == ()


def test_an_incident_that_lasted_longer_than_a_day_has_two_dates():
    told = facts(status="resolved", evidence=[], resolved_at=STARTED + 90_000_000)
    assert told["Lasted"] == "1 d 1 h, from 2026-11-24 03:12:00Z to 2026-11-25 04:12:00Z"


def test_the_review_of_a_resolved_incident_stays_due():
    review = ResponseTarget(name="review", due_at=STARTED + 259_200_000, source="playbook: 72 hours")
    targets = [review, ResponseTarget(name="fix", due_at=STARTED, source="playbook")]
    told = message(status="resolved", resolved_at=STARTED + 60_000, response_targets=targets, commander="ana")
    assert MessageFact("Due", "review by 2026-11-27 03:12:00Z (ana)") in told.facts
    assert told.actions == (MessageAction("Draft the review", "driftwire incident review inc-3f9a21c0b7"),)


def test_a_recovered_incident_that_is_not_yet_resolved_asks_for_no_containment():
    told = message(status="mitigated", evidence=[evidence("refused", state="recovered")])
    assert told.facts[0] == MessageFact("What", incident().summary)
    assert told.actions == ()


def test_a_merged_incident_names_the_incident_that_represents_it():
    told = message(status="merged", merged_into="inc-b91c028e9ad0")
    assert told.facts[0] == MessageFact("Merged", "into inc-b91c028e9ad0, which represents both incidents")
    assert told.actions == ()


def test_an_acknowledged_incident_names_who_does_what_by_when():
    targets = [
        ResponseTarget(name="classify", due_at=STARTED, source="playbook", done_at=STARTED),
        ResponseTarget(name="commander", due_at=STARTED + 30_000, source="playbook"),
        ResponseTarget(name="first_communication", due_at=STARTED + 3_600_000, source="playbook"),
        ResponseTarget(name="contain", due_at=STARTED + 7_200_000, source="playbook"),
    ]
    told = message(status="acknowledged", acknowledged_by="ana", communications_lead="eve", response_targets=targets)
    due = "commander overdue since 03:12:30Z (ana); first communication by 04:12:00Z (eve)"
    assert MessageFact("Due", due) in told.facts
    assert MessageFact("Acknowledged", "by ana") in told.facts
    assert told.actions[-1] == MessageAction("When the harm is contained", "driftwire incident mitigate inc-3f9a21c0b7")


def test_a_runbook_at_an_address_is_a_link_that_nothing_can_end():
    told = message(runbook="https://runbooks.example.org/a b\"><x>(y)'`.md")
    assert told.links == (MessageLink("Runbook", "https://runbooks.example.org/a%20b%22%3E%3Cx%3E%28y%29%27%60.md"),)
    assert "Runbook" not in {fact.label for fact in told.facts}


@pytest.mark.parametrize(
    "runbook", ["javascript:alert(1)", "docs/runbooks/x.md", "https://", "https://h/" + "a" * 3000]
)
def test_any_other_runbook_is_no_link(runbook):
    told = message(runbook=runbook)
    assert told.links == ()
    assert "Runbook" in {fact.label for fact in told.facts}


def test_a_command_stays_one_argument_and_one_line():
    told = message(incident_id="inc; rm -rf\n~")
    assert told.actions[0].command == "driftwire incident ack 'inc; rm -rf ~'"


def test_texts_are_one_line_and_have_a_maximum_length():
    long = "x\u202e\n" * 2000
    told = message(
        Reason("response", long),
        title=long,
        environment="y" * 100,
        evidence=[evidence("silence", channel="silence", sentence=long)] * 9,
        suspects=[suspect(name="n" * 200)],
        containment=[Containment(rank=1, action="filter", target=long, reason=long)],
    )
    texts = [told.news, *(fact.text for fact in told.facts), *(action.text for action in told.actions)]
    assert len(told.headline) == HEADLINE_LENGTH_MAX
    assert max(map(len, texts)) == TEXT_LENGTH_MAX
    for text in (told.headline, *texts):
        assert "\n" not in text
        assert "\u202e" not in text


def test_every_example_has_a_message_that_is_read_in_seconds():
    paths = sorted((Path(__file__).parents[3] / "schemas/examples/incident").glob("*.json"))
    assert paths
    for path in paths:
        revision = Incident.from_json(path.read_bytes())
        told = write_incident_message(Dispatch(revision, "chat", "urgent", NEW, alert(revision), revision.updated_at))
        words = " ".join([told.headline, *(fact.text for fact in told.facts), *(a.text for a in told.actions)]).split()
        assert len(words) < 90, path.name


def test_the_documentation_shows_the_message_of_an_example():
    root = Path(__file__).parents[3]
    opened = Incident.from_json((root / "schemas/examples/incident/opened.json").read_bytes())
    measured = [line.model_copy(update={"measured_at": line.detected_at}) for line in opened.evidence]
    runbook = "https://runbooks.example.org/refusal_spike.md"
    steps = [
        step.model_copy(update={"target": runbook}) if step.action == "investigate" else step
        for step in opened.containment
    ]
    revision = opened.model_copy(update={"evidence": measured, "runbook": runbook, "containment": steps})
    told = write_incident_message(Dispatch(revision, "chat", "urgent", NEW, alert(revision), revision.updated_at))
    shown = f"{told.headline}\n\n{render_text(told)}"
    indented = "\n".join(f"    {line}".rstrip() for line in shown.splitlines())
    assert f"\n\n{indented}\n\n" in (root / "docs/receivers.md").read_text(encoding="utf-8")
