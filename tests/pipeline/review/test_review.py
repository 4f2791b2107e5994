import pytest

from pipeline.review.review import review
from schemas.incident import Suspect
from tests.pipeline.correlate.builders import MINUTE, START, deployment, drift, later
from tests.pipeline.review.test_markdown import shown
from tests.pipeline.review.worlds import (
    DEPLOYMENTS,
    WATCHED,
    baseline,
    drifts,
    revisions,
    with_changes,
    world,
)

PARTS = (
    "Summary", "Impact", "Timeline", "Detection gap", "Response", "Root cause", "What to ask of an AI system",
    "Action items", "Sources",
)  # fmt: skip


def written(given=None):
    return review(given or world(), "review.svg")


def part(name, given=None):
    return written(given).split(f"\n## {name}\n\n")[1].split("\n\n## ")[0]


def test_it_has_the_parts_of_the_playbook_in_its_order():
    text = written()
    places = [text.index(f"\n## {name}\n") for name in PARTS]
    assert places == sorted(places)
    assert text.startswith("# Post-incident review: Latency degradation in support-bot\n")
    assert "](review.svg)" in text


def test_the_same_material_gives_the_same_text_whatever_came_first():
    backwards = world(
        revisions=revisions()[::-1],
        drifts=drifts()[::-1],
        deployments=DEPLOYMENTS[::-1],
        baselines=[baseline(*WATCHED)],
    )
    assert written() == written(backwards)


def test_the_head_says_what_how_bad_since_when_and_who():
    text = written()
    assert "in `support-bot`, environment `production`" in text
    assert "| severity | **P3** by the rule `quality_loss`: " in text
    assert "| detected | 2026-11-24 03:12:05Z, 5 s after the start |" in text
    assert "| resolved | 2026-11-24 03:28:00Z, 16 min after the start |" in text
    assert "| acknowledged by | ann |" in text
    assert "| incident commander | ben |" in text


def test_an_open_incident_says_where_the_draft_ends():
    text = written(world(revisions=revisions(until=START + 4 * MINUTE)))
    assert "**The incident is still open: this draft ends at 2026-11-24 03:15:00Z.**" in text
    assert "It has lasted 3 min so far" in text
    assert "still open" not in written()


def test_a_role_without_a_name_is_to_be_filled_in():
    assert "| incident commander | nobody is named: to be filled in |" in written(with_changes({"commander": None}))


def test_the_impact_counts_what_the_drifts_count_and_invents_nothing():
    text = part("Impact")
    assert "| `refused` up | page | 1.0 % | 10.0 % | 2026-11-24 03:12:00Z | 2026-11-24 03:22:25Z |" in text
    assert "It lasted 11 min" in text
    assert "records carried `refused` from 03:12:00Z to 03:22:25Z. It was true of about " in text
    assert "It showed in the records of `support-bot` as a whole." in text
    lost = part("Impact", world(drifts=[]))
    assert "| the messages are gone |" in lost
    assert "How many records were hit is not known" in lost
    assert "as a whole" not in lost


def test_segments_are_named_with_their_share():
    mine = [each.model_copy(update={"segment": "tenant=acme", "traffic_share": 0.12}) for each in drifts()]
    text = part("Impact", world(drifts=mine))
    assert "It showed in segments of `support-bot` alone: `tenant=acme` (12 % of the records)." in text


def test_the_timeline_is_in_order_and_each_line_has_its_source():
    rows = [line.split(" | ") for line in part("Timeline").splitlines() if line.startswith("| 2026")]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert all(len(row) == 3 and row[2].strip("| ") for row in rows)
    told = {row[1]: row[2].strip(" |") for row in rows}
    assert told["prompt v41 -> v42 was deployed."] == "deployment `d-42`"
    assert told["acknowledged by ann"] == "running log, command `acknowledge`"
    assert told["status acknowledged -> mitigated"] == "revision 6"
    assert sum("d-43" in what for what in told) == 1, "what the log tells is not told again"


def test_revisions_that_compaction_took_are_said_to_be_missing_and_the_log_still_tells():
    newest = revisions()[-1]
    text = written(world(revisions=[newest]))
    assert f"{newest.revision - 1} of {newest.revision} revisions are no longer on the topic" in text
    assert f"1 of {newest.revision} revisions of the incident. The topic keeps the newest only for good" in text
    assert "| acknowledged by ann | running log" in text
    assert "status acknowledged -> mitigated" not in text
    assert "no longer on the topic" not in written()


def test_what_the_topics_no_longer_hold_is_said():
    text = part("Sources", world(drifts=[], deployments=[], baselines=[]))
    assert "messages of 0 of 2 drifts of the evidence. Of the others only what the incident says is left" in text
    assert "`driftwire.deployments`: 0 that touch `support-bot`" in text
    assert "no baseline of `support-bot` is at hand" in text


def test_the_gap_says_who_saw_it_and_what_could_have_seen_it_sooner():
    text = part("Detection gap", world(drifts=[*drifts(), drift("input_tokens", start=START - 5 * MINUTE)]))
    assert "**5 s**" in text
    assert "Seen by `page_hinkley` in `refused` (page tier), 5 s after that signal left its baseline." in text
    assert "Detected before it, and not part of it: `input_tokens`." in text
    assert "nothing watches `time_to_first_token_ms`, `error`, `queue_depth`" in text
    assert "1 min 55 s after the detection" in text
    silent = part("Detection gap", with_changes({"log": []}))
    assert "No command acknowledges it" in silent


def test_the_response_says_what_was_due_when_it_was_done_and_whether_in_time():
    text = part("Response")
    assert "| classify | 2026-11-24 03:27:05Z | 2026-11-24 03:14:00Z | yes, 13 min 5 s left |" in text
    assert "1. rollback: prompt to v41" in text
    assert "Rolled back by `d-43` at 2026-11-24 03:22:00Z." in text


def test_a_target_that_was_missed_is_said_by_how_much_and_one_that_no_message_tells_is_left_open():
    [targets] = [each.response_targets for each in revisions()[-1:]]
    mine = [
        targets[0].model_copy(update={"name": "contain", "due_at": START + 5 * MINUTE, "done_at": START + 10 * MINUTE}),
        targets[0].model_copy(update={"name": "first_communication", "done_at": None}),
        targets[0].model_copy(update={"name": "commander", "due_at": START + MINUTE}),
    ]
    text = part("Response", with_changes({"response_targets": mine}))
    assert "| contain | 2026-11-24 03:17:00Z | 2026-11-24 03:22:00Z | **missed by 5 min** |" in text
    assert "| first communication | 2026-11-24 03:27:05Z | to be filled in | no message tells of it |" in text
    assert "| commander | 2026-11-24 03:13:00Z | 2026-11-24 03:14:00Z | **missed by 1 min** |" in text
    assert "until it fits into the target" in part("Action items", with_changes({"response_targets": mine}))


def test_the_root_cause_is_the_machines_view_with_what_supports_it():
    text = part("Root cause")
    assert "This is the machine's view, to be confirmed or corrected. [technical lead]" in text
    assert "Leading suspect: **prompt v41 -> v42**, score 0.95: its records are bad" in text
    assert "It was taken back by `d-43` at 2026-11-24 03:22:00Z, and the last signal was back" in text
    assert "which supports it" in text
    assert "To be filled in" in text


def test_signals_that_came_back_before_the_rollback_do_not_confirm_the_suspect():
    late = DEPLOYMENTS[2].model_copy(update={"timestamp": START + 14 * MINUTE})
    assert "this does not confirm it" in part("Root cause", world(deployments=[*DEPLOYMENTS[:2], late]))
    assert "what else ended it?" in part("Root cause", world(deployments=DEPLOYMENTS[:2]))


def test_without_a_clear_suspect_nothing_is_guessed():
    text = part("Root cause", with_changes({"suspects": []}))
    assert "Inconclusive: no suspect stands out, and none is guessed." in text
    assert "Leading suspect" not in text


def test_the_five_questions_are_answered_from_data_where_it_answers_them():
    text = part("What to ask of an AI system")
    assert text.count("?**") == 5
    assert (
        "Watched, and did not leave its baseline: `input_tokens`. Not in the baseline, so nothing watches: `input_length`"
        in text
    )
    assert "Watched, and did not leave its baseline: `null_fraction`." in text
    assert "Records name the prompt that served them: `prompt=v41`, `prompt=v42`." in text
    assert "prompt v41 -> v42 (`d-42`, 2026-11-24 03:11:40Z) names both versions." in text
    assert "[the author of `d-42`, carla]" in text
    assert "nothing watches: `retrieval_score`, `retrieved_documents`." in text
    assert "driftwire proposed to switch off the feature flag of support-bot (set its name in correlate" in text
    assert "as far as messages tell it was not used" in text


def test_inputs_that_shifted_and_a_flag_that_was_switched_answer_too():
    shift = Suspect(rank=1, kind="input_shift", name="input_tokens up", score=0.5, reason="it moved at 03:11:00Z")
    off = deployment("d-44", before_s=-240, kind="flag", name="support-bot-ai", from_version="on", to_version="off")
    text = part(
        "What to ask of an AI system",
        with_changes({"suspects": [shift]}, deployments=[*DEPLOYMENTS, off], drifts=[*drifts(), drift("input_tokens")]),
    )
    assert "Inputs shifted: input_tokens up: it moved at 03:11:00Z." in text
    assert "Moved: `input_tokens`." in text
    assert "Flags changed since the detection: flag support-bot-ai on -> off at 2026-11-24 03:16:00Z (`d-44`)." in text
    assert "it was not used" not in text


def test_without_drifts_or_baseline_nobody_is_told_that_a_signal_stood_still():
    assert "did not leave its baseline" not in written(world(drifts=[]))
    assert "Watched; whether it moved is not at hand any more: `input_tokens`." in written(world(drifts=[]))
    assert "No baseline is at hand, so it cannot be said" in written(world(baselines=[]))


def test_a_signal_that_was_still_moving_is_not_called_watched():
    learned = baseline(*WATCHED, "retrieval_score")
    channel = learned.signals["retrieval_score"].channels["rate"].model_copy(update={"moving": True})
    moving = learned.signals["retrieval_score"].model_copy(update={"channels": {"rate": channel}})
    mine = learned.model_copy(update={"signals": learned.signals | {"retrieval_score": moving}})
    assert (
        "Reported, but not judged: it was still moving while its baseline was learned: `retrieval_score`."
        in written(world(baselines=[mine]))
    )


def actions(given=None):
    return part("Action items", given)


def test_action_items_come_from_the_data_with_owner_and_date_to_fill_in():
    text = actions()
    assert "| 1 | Test every prompt for `refused` before it serves, and let it serve a few requests first |" in text
    assert "Report `time_to_first_token_ms`, `queue_depth`" in text
    assert "Report `retrieval_score`, `retrieved_documents` | the age of the index is watched" in text
    assert text.count("| [owner] | [date] |") == text.count("\n| ") - 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"detection_gap_s": 3600.0}, "1 h passed from the start to the detection"),
        ({"suspects": []}, "Find the cause, and declare what changed"),
        ({"log": []}, "Check that it reached the person on call"),
        ({"severity_rule": "classified_by_a_person"}, "See whether the severity rules should say P3"),
        ({"severity": "P1"}, "behind a kill switch and rehearse it"),
        (
            {"suspects": [Suspect(rank=1, kind="undeclared_change", name="model=m-2", score=0.5, reason="new")]},
            "Declare every deployment with `driftwire deployed`",
        ),
    ],
)
def test_each_gap_in_the_data_proposes_its_item_and_none_without_it(changes, said):
    assert said in actions(with_changes(changes))
    assert said not in actions()


def test_an_incident_of_tickets_alone_asks_whether_it_must_page():
    tickets = [line.model_copy(update={"tier": "ticket"}) for line in revisions()[-1].evidence]
    mine = with_changes({"evidence": tickets})
    assert "All of its signals are of the ticket tier" in part("Detection gap", mine)
    assert "Decide whether `latency_ms`, `refused` must page" in actions(mine)


def test_a_change_into_the_open_incident_and_one_without_versions_propose_theirs():
    into = revisions()[-1].log[0].model_copy(update={"event": "deployment", "text": "config (d-9) was deployed"})
    unnamed = DEPLOYMENTS[1].model_copy(update={"from_version": None})
    mine = with_changes({"log": [*revisions()[-1].log, into]}, deployments=[unnamed])
    assert "Hold changes to a subject while an incident of it is open | 1 change that took nothing back" in actions(
        mine
    )
    assert "Name the version before and after in every deployment of kind prompt" in actions(mine)
    assert "does not name both versions" in part("What to ask of an AI system", mine)


def test_there_are_never_more_than_eight_items():
    mine = with_changes(
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
    assert actions(mine).count("| [owner] |") == 8


def test_what_senders_wrote_into_labels_stays_text():
    nasty = "<b>x</b>|[a](http://evil.example)`#*"
    mine = [each.model_copy(update={"to_version": nasty, "author": nasty, "name": nasty}) for each in DEPLOYMENTS]
    named = [Suspect(rank=1, kind="prompt", name=nasty, score=1.0, reason=nasty, deployment_id="d-42")]
    hostile = with_changes(
        {"subject": nasty, "title": nasty, "summary": f"- {nasty}", "acknowledged_by": nasty, "suspects": named},
        deployments=[each.model_copy(update={"subject": nasty}) for each in mine],
    )
    _, kinds = shown(written(hostile))
    _, usual = shown(written())
    assert "html_inline" not in kinds
    assert "html_block" not in kinds
    assert "link_open" not in kinds
    assert kinds <= usual


def test_an_incident_without_evidence_is_reviewed_too():
    text = written(with_changes({"evidence": [], "response_targets": [], "log": []}, drifts=[]))
    assert "No targets are set for it." in text
    assert "**5 s**" in text


def test_a_drift_that_came_back_and_left_again_is_told_by_its_newest_state():
    first = drifts()[0]
    again = later(first, 900, "evidence", sequence=9, now=0.3)
    assert "| `refused` up | page | 1.0 % | 30.0 % |" in part("Impact", world(drifts=[*drifts(), again]))


def test_a_very_long_timeline_keeps_both_ends_and_says_what_it_leaves_out():
    entry = revisions()[-1].log[-1]
    many = [entry.model_copy(update={"at": START + place * 1000, "text": f"line {place}"}) for place in range(400)]
    rows = part("Timeline", with_changes({"log": many}, deployments=[])).splitlines()
    assert len(rows) == 2 + 2 + 201
    assert any("lines are left out here" in row for row in rows)
    assert "line 0 " in "".join(rows)
    assert "line 399 " in "".join(rows)


def test_where_nothing_shows_what_could_have_seen_it_sooner_people_are_asked():
    text = part("Detection gap", world(baselines=[]))
    assert "What could have seen it sooner no message shows. To be filled in. [technical lead]" in text
    assert "What could have seen it sooner" not in part("Detection gap")
