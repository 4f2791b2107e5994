"""The life of an incident: what people say of it, and what it becomes by that."""

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
"""Of the same subject, and an incident of its own."""

BOTH = newest(OPENED, STALE)
STALE_ID = next(each for each in BOTH if each != ID)
ELSEWHERE = drift(subject="search")
ELSEWHERE_ID = only(ELSEWHERE).incident_id


def said(action, *, at=START + 20 * MINUTE, about=ID, **fields):
    return command(action, about, at=at, **({"command_id": f"c-{action}-{about}-{at}"} | fields))


def refusals(*contracts):
    return [each.detail for each in dead_letters(CorrelateStep(CorrelateSettings()).step(kafka(contracts)))]


# roles and notes


def test_each_role_has_a_name_of_its_own():
    incident = only(
        OPENED,
        said("assign", assignee="ben"),
        said("assign", assignee="carla", role="technical_lead", command_id="c-2"),
        said("assign", assignee="dora", role="communications_lead", command_id="c-3"),
    )
    assert (incident.commander, incident.technical_lead, incident.communications_lead) == ("ben", "carla", "dora")
    assert incident.change == "communications lead dora"


def test_a_role_given_on_says_from_whom():
    incident = only(OPENED, said("assign", assignee="ben"), said("assign", assignee="eva", command_id="c-2"))
    assert incident.commander == "eva"
    assert incident.log[-1].text == "eva made commander instead of ben by ann"


def test_a_note_is_a_line_of_the_log_which_shows_that_somebody_looked_at_it_and_changes_nothing_else():
    before, after = revisions(OPENED, said("note", note="the provider has opened a ticket"))
    assert after.change == after.log[-1].text == "noted by ann: the provider has opened a ticket"
    same = {"revision": 1, "change": "", "log": [], "updated_at": 0, "response_targets": [], "drafts": []}
    assert before.model_copy(update=same) == after.model_copy(update=same)


def test_that_people_were_told_is_kept_for_each_audience_with_the_newest_time():
    incident = only(
        OPENED,
        said("note", note="support knows", communicated="internal", at=START + 2 * MINUTE),
        said("note", note="status page", communicated="external", at=START + 3 * MINUTE),
        said("note", note="again", communicated="internal", at=START + 9 * MINUTE),
        said("note", note="late", communicated="internal", at=START + 5 * MINUTE),
    )
    assert incident.communicated == {"internal": START + 9 * MINUTE, "external": START + 3 * MINUTE}
    assert "people inside were told by ann: support knows" in [entry.text for entry in incident.log]


# mitigated


def test_a_person_says_that_the_harm_is_contained_while_signals_are_off():
    incident = only(OPENED, said("mitigate", note="switched off"))
    assert (incident.status, incident.evidence[0].state) == ("mitigated", "firing")
    assert incident.change == "status open -> mitigated; mitigated by ann: switched off"


def test_what_is_contained_stays_so_while_the_signals_say_no_worse():
    assert only(OPENED, said("mitigate"), later(OPENED, 2_000, "evidence")).status == "mitigated"


@pytest.mark.parametrize(
    "more",
    [
        drift("hallucinated", start=START + 5 * MINUTE, after_s=1_500),
        later(OPENED, 1_500, "evidence", now=0.6),
    ],
    ids=["a new signal", "a worse one"],
)
def test_what_is_contained_is_open_again_when_more_goes_wrong(more):
    incident = only(OPENED, said("acknowledge", at=START + MINUTE), said("mitigate"), more)
    assert incident.status == "acknowledged"
    assert any(entry.text.startswith("no longer mitigated: ") for entry in incident.log)


def test_what_is_contained_is_resolved_when_the_signals_have_been_back():
    assert only(OPENED, said("mitigate", at=START + MINUTE), BACK, tick(QUIET_UNTIL)).status == "resolved"


# reopened


def test_a_person_opens_what_a_person_had_mitigated():
    incident = only(OPENED, said("mitigate"), said("reopen", at=START + 30 * MINUTE, note="users still report it"))
    assert incident.status == "open"
    assert incident.log[-1].text == "reopened by ann: users still report it"


def test_a_person_opens_what_a_person_had_resolved_and_drifts_join_again():
    closed = [OPENED, said("resolve", at=START + MINUTE)]
    joining = drift("hallucinated", start=START + 10 * SECOND)
    assert len(newest(*closed, joining)) == 2
    incident = only(*closed, said("reopen", at=START + 2 * MINUTE), joining)
    assert (incident.status, incident.resolved_at, len(incident.evidence)) == ("open", None, 2)


def test_what_is_reopened_while_all_is_back_resolves_after_the_quiet_time_from_then():
    gone = [OPENED, BACK, tick(QUIET_UNTIL)]
    again = [*gone, said("reopen", at=QUIET_UNTIL + MINUTE)]
    assert (only(*gone).status, only(*again).status) == ("resolved", "open")
    assert only(*again, tick(QUIET_UNTIL + 6 * MINUTE - 1)).status == "open"
    resolved = only(*again, tick(QUIET_UNTIL + 6 * MINUTE))
    assert (resolved.status, resolved.resolved_at) == ("resolved", QUIET_UNTIL + 6 * MINUTE)


def test_signals_that_come_back_after_a_reopening_are_mitigated_as_ever():
    reopened = said("reopen", at=START + 3 * MINUTE)
    assert only(OPENED, said("mitigate", at=START + 2 * MINUTE), reopened, BACK).status == "mitigated"


# merged by a person

MERGED = [OPENED, STALE, said("merge", about=STALE_ID, into=ID, note="one rollout")]


def test_a_merged_incident_says_into_which_and_the_other_one_shows_its_evidence():
    final = newest(*MERGED)
    assert (final[STALE_ID].status, final[STALE_ID].merged_into) == ("merged", ID)
    assert {line.signal for line in final[ID].evidence} == {"refused", "index_age_s"}
    assert f"merged into {ID} by ann: one rollout" in [entry.text for entry in final[ID].log]


def test_the_other_one_is_as_bad_as_the_worse_of_both():
    worse = drift("pii_detected", start=START + 11 * MINUTE)
    worse_id = next(each for each in newest(OPENED, worse) if each != ID)
    final = newest(OPENED, worse, said("merge", about=worse_id, into=ID))
    assert (BOTH[ID].severity, final[ID].severity, final[ID].failure_mode) == ("P3", "P1", "pii_exposure")


def test_what_later_happens_to_a_merged_incident_is_told_by_the_other_one():
    more = drift("retrieval_score", start=START + 12 * MINUTE)
    told = CorrelateStep(CorrelateSettings())
    told.step(kafka(MERGED))
    after = {each.incident_id: each for each in incidents(told.step(kafka([more, later(STALE, 900)])))}
    assert {(line.signal, line.state) for line in after[ID].evidence} == {
        ("refused", "firing"),
        ("index_age_s", "recovered"),
        ("retrieval_score", "firing"),
    }
    assert after[STALE_ID].status == "merged"


def test_it_resolves_when_the_signals_of_both_are_back():
    gone = [*MERGED, BACK, tick(START + 60 * MINUTE)]
    assert newest(*gone)[ID].status == "open"
    final = newest(*gone, later(STALE, 3_600), tick(START + 100 * MINUTE))
    assert (final[ID].status, final[STALE_ID].status) == ("resolved", "merged")


def test_it_opens_again_when_a_signal_of_the_merged_one_is_off_again():
    gone = [*MERGED, BACK, later(STALE, 600), tick(START + 60 * MINUTE)]
    resolved = newest(*gone)[ID]
    again = drift("index_age_s", start=resolved.resolved_at + MINUTE, drift_id="again")
    assert (resolved.status, newest(*gone, again)[ID].status) == ("resolved", "open")


def test_nothing_joins_what_is_merged_into_an_incident_that_a_person_closed():
    final = newest(*MERGED, said("resolve"), drift("retrieval_score", start=START + 12 * MINUTE))
    assert sorted(each.status for each in final.values()) == ["merged", "open", "resolved"]


def test_to_take_a_merge_back_leaves_only_lines_in_the_log():
    plain, final = newest(OPENED, STALE), newest(*MERGED, said("unmerge", about=STALE_ID))
    same = {"revision": 1, "change": "", "log": [], "updated_at": 0}
    assert {key: each.model_copy(update=same) for key, each in final.items()} == {
        key: each.model_copy(update=same) for key, each in plain.items()
    }
    assert [entry.event for entry in final[STALE_ID].log] == ["opened", "merge", "unmerge"]


def test_a_merge_survives_a_restart():
    first = CorrelateStep(CorrelateSettings())
    first.step(kafka(MERGED))
    second = CorrelateStep(CorrelateSettings())
    assert list(second.restore([(key, value) for key, value in first.changed() if value is not None])) == []
    back = kafka([later(STALE, 600)])
    assert first.step(back) == second.step(back) != []


# refusals


@pytest.mark.parametrize(
    ("contracts", "complaint"),
    [
        ([said("note")], "needs a note"),
        ([said("merge")], "needs the incident to merge into"),
        ([said("merge", into="inc-0")], "no incident inc-0 is known"),
        ([said("merge", into=ID)], "cannot be merged into itself"),
        ([ELSEWHERE, said("merge", into=ELSEWHERE_ID)], "only incidents of one subject merge"),
        ([STALE, said("resolve", about=STALE_ID), said("merge", into=STALE_ID)], "is resolved: reopen it first"),
        ([*MERGED[1:], said("merge", into=STALE_ID)], f"is merged into {ID}: merge into that one"),
        ([*MERGED[1:], said("acknowledge", about=STALE_ID)], "say it of that one, or unmerge"),
        ([said("unmerge")], "is not merged into any"),
        ([said("reopen")], "only what is mitigated or resolved can be reopened"),
        ([said("resolve"), said("mitigate")], "nothing is left to mitigate"),
        ([said("mitigate", about="inc-0")], "no incident inc-0 is known"),
    ],
)
def test_what_makes_no_sense_is_refused_and_says_why(contracts, complaint):
    [detail] = refusals(OPENED, *contracts)
    assert complaint in detail


def test_chains_are_refused():
    third = drift("jailbreak_suspected", start=START + 30 * MINUTE)
    third_id = next(each for each in newest(OPENED, STALE, third) if each not in BOTH)
    [detail] = refusals(OPENED, STALE, third, MERGED[-1], said("merge", into=third_id))
    assert f"others are merged into {ID}" in detail


@pytest.mark.parametrize("action", ["merge", "unmerge", "mitigate", "reopen"])
def test_a_command_sent_twice_is_neither_followed_nor_refused_twice(action):
    fields = {"merge": {"about": STALE_ID, "into": ID}, "unmerge": {"about": STALE_ID}}.get(action, {})
    before = {"unmerge": MERGED[2:], "reopen": [said("mitigate", at=START + 15 * MINUTE)]}.get(action, [])
    once = said(action, command_id="once", **fields)
    first = incidents(CorrelateStep(CorrelateSettings()).step(kafka([OPENED, STALE, *before, once])))
    twice = CorrelateStep(CorrelateSettings()).step(kafka([OPENED, STALE, *before, once, once]))
    assert (incidents(twice), dead_letters(twice)) == (first, [])
