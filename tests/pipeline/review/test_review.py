import pytest

from pipeline.review.review import write_review
from schemas.incident import Suspect
from tests.pipeline.correlate.builders import MINUTE, START, deployment, drift, later
from tests.pipeline.review.test_markdown import render
from tests.pipeline.review.worlds import (
    DEPLOYMENTS,
    MONITORED,
    baseline,
    drifts,
    revisions,
    with_changes,
    world,
)

HEADINGS = (
    "Summary",
    "Impact",
    "Timeline",
    "Detection gap",
    "Response",
    "Root cause",
    "What to ask of an AI system",
    "Action items",
    "Sources",
)


def draft(material=None):
    return write_review(material or world(), "review.svg")


def section(heading, material=None):
    return draft(material).split(f"\n## {heading}\n\n")[1].split("\n\n## ")[0]


def test_it_has_the_sections_of_the_playbook_in_order():
    text = draft()
    positions = [text.index(f"\n## {heading}\n") for heading in HEADINGS]
    assert positions == sorted(positions)
    assert text.startswith("# Post-incident review: Latency degradation in support-bot\n")
    assert "](review.svg)" in text


def test_the_order_of_messages_does_not_change_the_text():
    backwards = world(
        revisions=revisions()[::-1],
        drifts=drifts()[::-1],
        deployments=DEPLOYMENTS[::-1],
        baselines=[baseline(*MONITORED)],
    )
    assert draft() == draft(backwards)


def test_the_head_has_what_severity_times_and_people():
    text = draft()
    assert "in `support-bot`, environment `production`" in text
    assert "| severity | **P3** by the rule `quality_loss`: " in text
    assert "| detected | 2026-11-24 03:12:05Z, 5 s after the start |" in text
    assert "| resolved | 2026-11-24 03:28:00Z, 16 min after the start |" in text
    assert "| acknowledged by | ann |" in text
    assert "| incident commander | ben |" in text


def test_the_draft_of_an_open_incident_states_where_it_ends():
    text = draft(world(revisions=revisions(until=START + 4 * MINUTE)))
    assert "**The incident is still open: this draft ends at 2026-11-24 03:15:00Z.**" in text
    assert "It has lasted 3 min so far" in text
    assert "still open" not in draft()


def test_a_role_without_a_name_is_to_be_filled_in():
    assert "| incident commander | to be filled in (nobody is recorded) |" in draft(with_changes({"commander": None}))


def test_the_impact_counts_what_the_drifts_count():
    text = section("Impact")
    assert "| `refused` up | page | 1.0 % | 10.0 % | 2026-11-24 03:12:00Z | 2026-11-24 03:22:25Z |" in text
    assert "It lasted 11 min" in text
    assert "records reported `refused` from 03:12:00Z to 03:22:25Z. It was true for about " in text
    assert "It was detected in the records of `support-bot` as a whole." in text
    lost = section("Impact", world(drifts=[]))
    assert "| unknown |" in lost
    assert "The number of affected records is unknown" in lost
    assert "as a whole" not in lost


def test_segments_are_named_with_their_share():
    segments = {"segment": "tenant=acme", "traffic_share": 0.12}
    text = section("Impact", world(drifts=[drift.model_copy(update=segments) for drift in drifts()]))
    assert "It was detected only in segments of `support-bot`: `tenant=acme` (12.0 % of the records)." in text


def test_the_timeline_is_in_order_and_every_line_has_a_source():
    rows = [line.split(" | ") for line in section("Timeline").splitlines() if line.startswith("| 2026")]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert all(len(row) == 3 and row[2].strip("| ") for row in rows)
    sources = {row[1]: row[2].strip(" |") for row in rows}
    assert sources["prompt v41 -> v42 was deployed."] == "deployment `d-42`"
    assert sources["acknowledged by ann"] == "running log, command `acknowledge`"
    assert sources["status acknowledged -> mitigated"] == "revision 6"
    assert sum("d-43" in what for what in sources) == 1, "a deployment in the log is not repeated"


def test_missing_revisions_are_counted_and_the_log_is_still_used():
    newest = revisions()[-1]
    text = draft(world(revisions=[newest]))
    assert f"{newest.revision - 1} of {newest.revision} revisions are no longer on the topic" in text
    assert (
        f"1 of {newest.revision} revisions of the incident. The topic permanently keeps only the newest revision"
        in text
    )
    assert "| acknowledged by ann | running log" in text
    assert "status acknowledged -> mitigated" not in text
    assert "no longer on the topic" not in draft()


def test_the_sources_state_what_the_topics_no_longer_have():
    text = section("Sources", world(drifts=[], deployments=[], baselines=[]))
    assert "messages of 0 of 2 drifts of the evidence. For the others, only the incident's own data is left" in text
    assert "`driftwire.deployments`: 0 that affect `support-bot`" in text
    assert "no baseline of `support-bot`, so it is unknown" in text


def test_the_gap_names_the_detector_and_what_could_have_detected_it_sooner():
    text = section("Detection gap", world(drifts=[*drifts(), drift("input_tokens", start=START - 5 * MINUTE)]))
    assert "**5 s**" in text
    assert "Detected by `page_hinkley` on `refused` (page tier), 5 s after that signal left its baseline." in text
    assert "Detected earlier, but not part of the incident: `input_tokens`." in text
    assert "Not monitored in the same layer (infrastructure): `time_to_first_token_ms`, `error`, `queue_depth`" in text
    assert "1 min 55 s after the detection" in text
    silent = section("Detection gap", with_changes({"log": []}))
    assert "No command acknowledged it" in silent


def test_the_response_lists_when_targets_were_due_and_done():
    text = section("Response")
    assert "| classify | 2026-11-24 03:27:05Z | 2026-11-24 03:14:00Z | yes, 13 min 5 s left |" in text
    assert "1. rollback: prompt to v41" in text
    assert "Rolled back by `d-43` at 2026-11-24 03:22:00Z." in text


def test_a_missed_target_states_by_how_much_and_an_unrecorded_one_is_left_open():
    targets = revisions()[-1].response_targets
    changed = [
        targets[0].model_copy(update={"name": "contain", "due_at": START + 5 * MINUTE, "done_at": START + 10 * MINUTE}),
        targets[0].model_copy(update={"name": "first_communication", "done_at": None}),
        targets[0].model_copy(update={"name": "commander", "due_at": START + MINUTE}),
    ]
    text = section("Response", with_changes({"response_targets": changed}))
    assert "| contain | 2026-11-24 03:17:00Z | 2026-11-24 03:22:00Z | **missed by 5 min** |" in text
    assert "| first communication | 2026-11-24 03:27:05Z | to be filled in | no message records it |" in text
    assert "| commander | 2026-11-24 03:13:00Z | 2026-11-24 03:14:00Z | **missed by 1 min** |" in text
    assert "until it meets the target" in section("Action items", with_changes({"response_targets": changed}))


def test_the_root_cause_is_the_leading_suspect_with_what_supports_it():
    text = section("Root cause")
    assert "Driftwire's view, to be confirmed or corrected. [technical lead]" in text
    assert "Leading suspect: **prompt v41 -> v42**, score 0.95: its records are bad" in text
    assert "`d-43` reverted it at 2026-11-24 03:22:00Z, and the last signal recovered" in text
    assert "which supports it" in text
    assert "To be filled in" in text


def test_a_recovery_before_the_rollback_does_not_confirm_the_suspect():
    late = DEPLOYMENTS[2].model_copy(update={"timestamp": START + 14 * MINUTE})
    assert "This does not confirm it" in section("Root cause", world(deployments=[*DEPLOYMENTS[:2], late]))
    assert "without a known rollback of it" in section("Root cause", world(deployments=DEPLOYMENTS[:2]))


def test_without_a_clear_suspect_the_cause_is_inconclusive():
    text = section("Root cause", with_changes({"suspects": []}))
    assert "Inconclusive: no suspect stands out." in text
    assert "Leading suspect" not in text


def test_the_five_questions_are_answered_from_data():
    text = section("What to ask of an AI system")
    assert text.count("?**") == 5
    assert (
        "Monitored, and stayed within the baseline: `input_tokens`. Not in the baseline, so not monitored: `input_length`"
        in text
    )
    assert "Monitored, and stayed within the baseline: `null_fraction`." in text
    assert "Records contain the version of their prompt: `prompt=v41`, `prompt=v42`." in text
    assert "prompt v41 -> v42 (`d-42`, 2026-11-24 03:11:40Z) names both versions." in text
    assert "[the author of `d-42`, carla]" in text
    assert "not monitored: `retrieval_score`, `retrieved_documents`." in text
    assert "driftwire proposed to switch off the feature flag of support-bot (set its name in correlate" in text
    assert "so it was apparently not used" in text


def test_shifted_inputs_and_switched_flags_are_part_of_the_answers():
    shift = Suspect(rank=1, kind="input_shift", name="input_tokens up", score=0.5, reason="it moved at 03:11:00Z")
    off = deployment("d-44", before_s=-240, kind="flag", name="support-bot-ai", from_version="on", to_version="off")
    text = section(
        "What to ask of an AI system",
        with_changes({"suspects": [shift]}, deployments=[*DEPLOYMENTS, off], drifts=[*drifts(), drift("input_tokens")]),
    )
    assert "Inputs shifted: input_tokens up: it moved at 03:11:00Z." in text
    assert "Moved: `input_tokens`." in text
    assert "Flags changed since the detection: flag support-bot-ai on -> off at 2026-11-24 03:16:00Z (`d-44`)." in text
    assert "it was not used" not in text


def test_without_drifts_or_a_baseline_no_signal_counts_as_steady():
    assert "stayed within the baseline" not in draft(world(drifts=[]))
    assert "Monitored, but no drift messages are left to show whether it moved: `input_tokens`." in draft(
        world(drifts=[])
    )
    assert "Unknown, because there is no baseline" in draft(world(baselines=[]))


def test_a_signal_that_was_still_moving_does_not_count_as_monitored():
    learned = baseline(*MONITORED, "retrieval_score")
    channel = learned.signals["retrieval_score"].channels["rate"].model_copy(update={"moving": True})
    moving = learned.signals["retrieval_score"].model_copy(update={"channels": {"rate": channel}})
    changed = learned.model_copy(update={"signals": learned.signals | {"retrieval_score": moving}})
    assert (
        "Reported but not monitored, because it was still moving while its baseline was learned: `retrieval_score`."
        in draft(world(baselines=[changed]))
    )


def test_a_signal_whose_baseline_is_sampled_by_outcome_does_not_count_as_monitored():
    sampled = baseline(*MONITORED, "retrieval_score").model_copy(update={"sampled": "tail"})
    text = draft(world(baselines=[sampled]))
    assert "because its baseline was learned from records that are sampled by outcome: `retrieval_score`" in text
    assert "stayed within the baseline: `retrieval_score`" not in text


def actions(material=None):
    return section("Action items", material)


def test_action_items_come_from_the_data_with_owner_and_date_to_fill_in():
    text = actions()
    assert "| 1 | Test every prompt for `refused` before it is deployed, and start it with a few requests |" in text
    assert "Report `time_to_first_token_ms`, `queue_depth`" in text
    assert "Report `retrieval_score`, `retrieved_documents` | the age of the index is monitored" in text
    assert text.count("| [owner] | [date] |") == text.count("\n| ") - 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"detection_gap_s": 3600.0}, "1 h passed from the start to the detection"),
        ({"suspects": []}, "Find the cause, and record what changed"),
        ({"log": []}, "Check that it reached the person on call"),
        ({"severity_rule": "classified_by_a_person"}, "Check whether the severity rules should result in P3"),
        ({"severity": "P1"}, "behind a kill switch and practise it"),
        (
            {"suspects": [Suspect(rank=1, kind="undeclared_change", name="model=m-2", score=0.5, reason="new")]},
            "Record every deployment with `driftwire deployed`",
        ),
    ],
)
def test_every_defect_leads_to_its_action_item(changes, text):
    assert text in actions(with_changes(changes))
    assert text not in actions()


def test_an_incident_with_only_tickets_asks_whether_they_must_page():
    tickets = [line.model_copy(update={"tier": "ticket"}) for line in revisions()[-1].evidence]
    changed = with_changes({"evidence": tickets})
    assert "All its signals are in the ticket tier" in section("Detection gap", changed)
    assert "Decide whether `latency_ms`, `refused` must page" in actions(changed)


def test_a_change_during_the_incident_and_one_without_versions_lead_to_items():
    into = revisions()[-1].log[0].model_copy(update={"event": "deployment", "text": "config (d-9) was deployed"})
    unnamed = DEPLOYMENTS[1].model_copy(update={"from_version": None})
    changed = with_changes({"log": [*revisions()[-1].log, into]}, deployments=[unnamed])
    assert "Freeze other changes to a subject during its incidents | 1 change that is not a rollback" in actions(
        changed
    )
    assert "Name both versions in every deployment of kind prompt" in actions(changed)
    assert "does not name both versions" in section("What to ask of an AI system", changed)


def test_there_are_never_more_than_eight_items():
    changed = with_changes(
        {
            "detection_gap_s": 3600.0,
            "severity": "P1",
            "severity_rule": "classified_by_a_person",
            "evidence": [line.model_copy(update={"tier": "ticket"}) for line in revisions()[-1].evidence],
            "response_targets": [
                revisions()[-1].response_targets[0].model_copy(update={"name": "contain", "due_at": START})
            ],
            "log": [entry.model_copy(update={"event": "deployment"}) for entry in revisions()[-1].log],
        },
        deployments=[DEPLOYMENTS[1].model_copy(update={"from_version": None})],
    )
    assert actions(changed).count("| [owner] |") == 8


def test_labels_from_senders_are_shown_as_text():
    nasty = "<b>x</b>|[a](http://evil.example)`#*"
    renamed = [
        deployment.model_copy(update={"to_version": nasty, "author": nasty, "name": nasty})
        for deployment in DEPLOYMENTS
    ]
    named = [Suspect(rank=1, kind="prompt", name=nasty, score=1.0, reason=nasty, deployment_id="d-42")]
    hostile = with_changes(
        {"subject": nasty, "title": nasty, "summary": f"- {nasty}", "acknowledged_by": nasty, "suspects": named},
        deployments=[deployment.model_copy(update={"subject": nasty}) for deployment in renamed],
    )
    _, kinds = render(draft(hostile))
    _, usual = render(draft())
    assert "html_inline" not in kinds
    assert "html_block" not in kinds
    assert "link_open" not in kinds
    assert kinds <= usual


def test_an_incident_without_evidence_has_a_review_too():
    text = draft(with_changes({"evidence": [], "response_targets": [], "log": []}, drifts=[]))
    assert "It has no response targets." in text
    assert "**5 s**" in text


def test_a_drift_that_fires_again_after_its_recovery_shows_its_newest_state():
    first = drifts()[0]
    again = later(first, 900, "evidence", sequence=9, now=0.3)
    assert "| `refused` up | page | 1.0 % | 30.0 % |" in section("Impact", world(drifts=[*drifts(), again]))


def test_a_very_long_timeline_omits_its_middle():
    entry = revisions()[-1].log[-1]
    many = [entry.model_copy(update={"at": START + index * 1000, "text": f"line {index}"}) for index in range(400)]
    rows = section("Timeline", with_changes({"log": many}, deployments=[])).splitlines()
    assert len(rows) == 2 + 2 + 201
    assert any("lines omitted" in row for row in rows)
    assert "line 0 " in "".join(rows)
    assert "line 399 " in "".join(rows)


def test_people_are_asked_what_could_have_detected_it_sooner_if_nothing_shows_it():
    text = section("Detection gap", world(baselines=[]))
    assert "To be filled in: what could have detected it sooner. [technical lead]" in text
    assert "what could have detected it sooner" not in section("Detection gap")
