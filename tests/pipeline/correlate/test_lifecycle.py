"""The life cycle of an incident: how people's commands change its status."""

import pytest

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from tests.pipeline.correlate.builders import (
    MINUTE,
    SECOND,
    START,
    command,
    dead_letters,
    drift,
    incidents,
    kafka,
    later,
    newest,
    only,
    revisions,
    tick,
)

OPENED = drift()
ID = only(OPENED).incident_id
BACK = later(OPENED, 5 * 60)
QUIET_UNTIL = BACK.updated_at + 5 * MINUTE

STALE = drift("index_age_s", start=START + 11 * MINUTE)
"""A drift of the same subject that opens another incident."""

BOTH = newest(OPENED, STALE)
STALE_ID = next(incident_id for incident_id in BOTH if incident_id != ID)
ELSEWHERE = drift(subject="search")
ELSEWHERE_ID = only(ELSEWHERE).incident_id


def send(action, *, at=START + 20 * MINUTE, about=ID, **fields):
    return command(action, about, at=at, **({"command_id": f"c-{action}-{about}-{at}"} | fields))


def refusals(*contracts):
    return [letter.detail for letter in dead_letters(CorrelateStep(CorrelateSettings()).step(kafka(contracts)))]


# roles and notes


def test_roles_are_assigned_independently():
    incident = only(
        OPENED,
        send("assign", assignee="ben"),
        send("assign", assignee="carla", role="technical_lead", command_id="c-2"),
        send("assign", assignee="dora", role="communications_lead", command_id="c-3"),
    )
    assert (incident.commander, incident.technical_lead, incident.communications_lead) == ("ben", "carla", "dora")
    assert incident.change == "communications lead dora"


def test_the_log_names_the_person_who_had_the_role_before():
    incident = only(OPENED, send("assign", assignee="ben"), send("assign", assignee="eva", command_id="c-2"))
    assert incident.commander == "eva"
    assert incident.log[-1].text == "commander assigned to eva, replacing ben, by ann"


def test_a_note_adds_a_line_to_the_log_and_counts_as_a_response():
    before, after = revisions(OPENED, send("note", note="the provider has opened a ticket"))
    assert after.change == after.log[-1].text == "noted by ann: the provider has opened a ticket"
    same = {"revision": 1, "change": "", "log": [], "updated_at": 0, "response_targets": [], "draft_facts": None}
    assert before.model_copy(update=same) == after.model_copy(update=same)


def test_the_newest_communication_is_stored_per_audience():
    incident = only(
        OPENED,
        send("note", note="support knows", communicated="internal", at=START + 2 * MINUTE),
        send("note", note="status page", communicated="external", at=START + 3 * MINUTE),
        send("note", note="again", communicated="internal", at=START + 9 * MINUTE),
        send("note", note="late", communicated="internal", at=START + 5 * MINUTE),
    )
    assert incident.communicated == {"internal": START + 9 * MINUTE, "external": START + 3 * MINUTE}
    assert "people inside were informed by ann: support knows" in [entry.text for entry in incident.log]


# mitigated


def test_a_person_mitigates_an_incident_whose_signals_still_fire():
    incident = only(OPENED, send("mitigate", note="switched off"))
    assert (incident.status, incident.evidence[0].state) == ("mitigated", "firing")
    assert incident.change == "status open -> mitigated; mitigated by ann: switched off"


def test_a_mitigated_incident_stays_mitigated_until_it_gets_worse():
    assert only(OPENED, send("mitigate"), later(OPENED, 2_000, "evidence")).status == "mitigated"


@pytest.mark.parametrize(
    "more",
    [
        drift("hallucinated", start=START + 5 * MINUTE, after_s=1_500),
        later(OPENED, 1_500, "evidence", now=0.6),
    ],
    ids=["a new signal", "a worse one"],
)
def test_a_mitigated_incident_is_open_again_when_more_goes_wrong(more):
    incident = only(OPENED, send("acknowledge", at=START + MINUTE), send("mitigate"), more)
    assert incident.status == "acknowledged"
    assert any(entry.text.startswith("no longer mitigated: ") for entry in incident.log)


def test_a_mitigated_incident_resolves_when_its_signals_stay_back():
    assert only(OPENED, send("mitigate", at=START + MINUTE), BACK, tick(QUIET_UNTIL)).status == "resolved"


# reopened


def test_a_person_reopens_a_mitigated_incident():
    incident = only(OPENED, send("mitigate"), send("reopen", at=START + 30 * MINUTE, note="users still report it"))
    assert incident.status == "open"
    assert incident.log[-1].text == "reopened by ann: users still report it"


def test_drifts_join_an_incident_again_after_a_person_reopens_it():
    closed = [OPENED, send("resolve", at=START + MINUTE)]
    joining = drift("hallucinated", start=START + 10 * SECOND)
    assert len(newest(*closed, joining)) == 2
    incident = only(*closed, send("reopen", at=START + 2 * MINUTE), joining)
    assert (incident.status, incident.resolved_at, len(incident.evidence)) == ("open", None, 2)


def test_an_incident_reopened_while_all_signals_are_back_resolves_after_another_quiet_time():
    resolved_history = [OPENED, BACK, tick(QUIET_UNTIL)]
    again = [*resolved_history, send("reopen", at=QUIET_UNTIL + MINUTE)]
    assert (only(*resolved_history).status, only(*again).status) == ("resolved", "open")
    assert only(*again, tick(QUIET_UNTIL + 6 * MINUTE - 1)).status == "open"
    resolved = only(*again, tick(QUIET_UNTIL + 6 * MINUTE))
    assert (resolved.status, resolved.resolved_at) == ("resolved", QUIET_UNTIL + 6 * MINUTE)


def test_a_reopened_incident_is_mitigated_when_its_signals_recover():
    reopened = send("reopen", at=START + 3 * MINUTE)
    assert only(OPENED, send("mitigate", at=START + 2 * MINUTE), reopened, BACK).status == "mitigated"


# merged by a person

MERGED = [OPENED, STALE, send("merge", about=STALE_ID, into=ID, note="one rollout")]


def test_a_merged_incident_names_its_target_which_shows_the_evidence():
    final = newest(*MERGED)
    assert (final[STALE_ID].status, final[STALE_ID].merged_into) == ("merged", ID)
    assert {line.signal for line in final[ID].evidence} == {"refused", "index_age_s"}
    assert f"merged into {ID} by ann: one rollout" in [entry.text for entry in final[ID].log]


def test_the_target_of_a_merge_has_the_worse_severity_of_both():
    worse = drift("pii_detected", start=START + 11 * MINUTE)
    worse_id = next(incident_id for incident_id in newest(OPENED, worse) if incident_id != ID)
    final = newest(OPENED, worse, send("merge", about=worse_id, into=ID))
    assert (BOTH[ID].severity, final[ID].severity, final[ID].failure_mode) == ("P3", "P1", "pii_exposure")


def test_later_reports_of_a_merged_incident_appear_in_its_target():
    more = drift("retrieval_score", start=START + 12 * MINUTE)
    step = CorrelateStep(CorrelateSettings())
    step.step(kafka(MERGED))
    after = {incident.incident_id: incident for incident in incidents(step.step(kafka([more, later(STALE, 900)])))}
    assert {(line.signal, line.state) for line in after[ID].evidence} == {
        ("refused", "firing"),
        ("index_age_s", "recovered"),
        ("retrieval_score", "firing"),
    }
    assert after[STALE_ID].status == "merged"


def test_the_target_resolves_when_the_signals_of_both_are_back():
    recovered = [*MERGED, BACK, tick(START + 60 * MINUTE)]
    assert newest(*recovered)[ID].status == "open"
    final = newest(*recovered, later(STALE, 3_600), tick(START + 100 * MINUTE))
    assert (final[ID].status, final[STALE_ID].status) == ("resolved", "merged")


def test_the_target_opens_again_when_a_signal_of_its_member_fires_again():
    recovered = [*MERGED, BACK, later(STALE, 600), tick(START + 60 * MINUTE)]
    resolved = newest(*recovered)[ID]
    again = drift("index_age_s", start=resolved.resolved_at + MINUTE, drift_id="again")
    assert (resolved.status, newest(*recovered, again)[ID].status) == ("resolved", "open")


def test_no_drift_joins_a_member_of_an_incident_that_a_person_closed():
    final = newest(*MERGED, send("resolve"), drift("retrieval_score", start=START + 12 * MINUTE))
    assert sorted(incident.status for incident in final.values()) == ["merged", "open", "resolved"]


def test_an_undone_merge_leaves_only_lines_in_the_log():
    plain, final = newest(OPENED, STALE), newest(*MERGED, send("unmerge", about=STALE_ID))
    same = {"revision": 1, "change": "", "log": [], "updated_at": 0}
    assert {key: incident.model_copy(update=same) for key, incident in final.items()} == {
        key: incident.model_copy(update=same) for key, incident in plain.items()
    }
    assert [entry.event for entry in final[STALE_ID].log] == ["opened", "merge", "unmerge"]


def test_a_merge_survives_a_restart():
    first = CorrelateStep(CorrelateSettings())
    first.step(kafka(MERGED))
    second = CorrelateStep(CorrelateSettings())
    assert list(second.restore([(key, value) for key, value in first.changed() if value is not None])) == []
    recovery = kafka([later(STALE, 600)])
    assert first.step(recovery) == second.step(recovery) != []


# refusals


@pytest.mark.parametrize(
    ("contracts", "complaint"),
    [
        ([send("note")], "needs a note"),
        ([send("merge")], "needs the incident to merge into"),
        ([send("merge", into="inc-0")], "unknown incident inc-0"),
        ([send("merge", into=ID)], "cannot be merged into itself"),
        ([ELSEWHERE, send("merge", into=ELSEWHERE_ID)], "only incidents of one subject can be merged"),
        ([STALE, send("resolve", about=STALE_ID), send("merge", into=STALE_ID)], "is resolved: reopen it first"),
        ([*MERGED[1:], send("merge", into=STALE_ID)], f"is merged into {ID}: merge into {ID} instead"),
        ([*MERGED[1:], send("acknowledge", about=STALE_ID)], f"send the command to {ID} instead, or unmerge"),
        ([send("unmerge")], "is not merged into another incident"),
        ([send("reopen")], "only a mitigated or resolved incident can be reopened"),
        ([send("resolve"), send("mitigate")], "nothing is left to mitigate"),
        ([send("mitigate", about="inc-0")], "unknown incident inc-0"),
    ],
)
def test_an_invalid_command_is_refused_with_a_reason(contracts, complaint):
    [detail] = refusals(OPENED, *contracts)
    assert complaint in detail


def test_chains_of_merges_are_refused():
    third = drift("jailbreak_suspected", start=START + 30 * MINUTE)
    third_id = next(incident_id for incident_id in newest(OPENED, STALE, third) if incident_id not in BOTH)
    [detail] = refusals(OPENED, STALE, third, MERGED[-1], send("merge", into=third_id))
    assert f"other incidents are merged into {ID}" in detail


@pytest.mark.parametrize("action", ["merge", "unmerge", "mitigate", "reopen"])
def test_a_command_sent_twice_is_neither_applied_nor_refused_twice(action):
    fields = {"merge": {"about": STALE_ID, "into": ID}, "unmerge": {"about": STALE_ID}}.get(action, {})
    before = {"unmerge": MERGED[2:], "reopen": [send("mitigate", at=START + 15 * MINUTE)]}.get(action, [])
    once = send(action, command_id="once", **fields)
    first = incidents(CorrelateStep(CorrelateSettings()).step(kafka([OPENED, STALE, *before, once])))
    twice = CorrelateStep(CorrelateSettings()).step(kafka([OPENED, STALE, *before, once, once]))
    assert (incidents(twice), dead_letters(twice)) == (first, [])
