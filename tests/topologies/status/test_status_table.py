"""The status says in words what is learned, monitored and missing, and fits narrow terminals."""

import io
from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

from pipeline.detect.learning_progress import LearningProgress
from pipeline.detect.settings import DetectSettings
from pipeline.detect.stream import StreamSummary
from topologies.status import Status, SubjectStatus, render_status, status_json
from topologies.status.status_table import describe_state
from topologies.status.subject_status import merge_streams
from topologies.status.waiting_records import WaitingRecords

NOW_MS = 1_795_489_920_000
"""2026-11-24T03:12:00Z."""

HOUR_MS = 3_600_000
FIRST = LearningProgress(
    NOW_MS - 10 * HOUR_MS, NOW_MS, 6000, required_s=86_400.0, required_records=5000, signals=12, ready_signals=3
)
SUBJECT = SubjectStatus("support-bot", 6000, 2, 17, Counter({("output.refused", "wrong_type"): 9}), NOW_MS - 4000, 12)


def rendered(status, width=80, *, details=False):
    output = io.StringIO()
    Console(file=output, width=width).print(render_status(status, DetectSettings(), NOW_MS, details=details))
    return output.getvalue()


def flat(text):
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (None, "learning: just started"),
        (FIRST, "learning: 41 % of 1 d, ready at 17:12Z; 3 of 12 signals have enough records"),
        (
            replace(FIRST, from_ms=NOW_MS - HOUR_MS),
            "learning: 4 % of 1 d, ready at 02:12Z tomorrow; 3 of 12 signals have enough records",
        ),
        (
            replace(FIRST, records=500),
            "learning: 10 % of 5,000 records, ready at 2026-11-27 21:12Z; 3 of 12 signals have enough records",
        ),
        (
            replace(FIRST, from_ms=NOW_MS - 110 * HOUR_MS, to_ms=NOW_MS - 100 * HOUR_MS),
            "learning: 41 % of 1 d, needs another 14 h of records; 3 of 12 signals have enough records",
        ),
    ],
)
def test_a_learning_subject_says_how_far_it_is_and_when_it_is_ready(progress, text):
    assert describe_state(replace(SUBJECT, learning=progress), NOW_MS) == text


def test_a_monitored_subject_names_its_baseline_and_what_is_relearned():
    monitored = replace(SUBJECT, baseline_version="abc", published_ms=NOW_MS - HOUR_MS)
    assert describe_state(monitored, NOW_MS) == "monitored since 02:12Z, baseline abc"
    relearning = replace(monitored, relearned_signals=("refused",), scheduled_versions=("def",))
    assert describe_state(relearning, NOW_MS) == (
        "monitored since 02:12Z, baseline abc; 1 baseline scheduled; not monitored until relearned: refused"
    )
    held = replace(monitored, relearned_signals=("error", "refused"), held_signals=("refused",))
    assert describe_state(held, NOW_MS) == (
        "monitored since 02:12Z, baseline abc; held at the accepted level until relearned: refused; "
        "not monitored until relearned: error"
    )
    assert [subject.state for subject in (SUBJECT, monitored, relearning)] == ["learning", "monitored", "relearning"]


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_table_fits_the_terminal_and_cuts_no_number(width):
    subjects = [
        replace(SUBJECT, subject="x" * 200, records=123_456_789, learning=FIRST),
        replace(SUBJECT, baseline_version="0123456789abcdef", published_ms=NOW_MS, relearned_signals=()),
    ]
    text = rendered(Status("host:9092", subjects, records=1, checkpoint_ms=NOW_MS), width)
    assert max(map(len, text.splitlines())) <= width
    assert "123,456,789" in text
    assert "4 s ago" in text


def test_names_from_records_are_text():
    hostile = replace(SUBJECT, subject="[red]bot[/red]\x1b[31m\n")
    text = rendered(Status("host:9092", [hostile], records=1, checkpoint_ms=NOW_MS), 120, details=True)
    assert "[red]bot[/red]" in text
    assert "\x1b" not in text


def test_the_worst_field_of_each_subject_is_named_and_all_fields_of_one_subject():
    others = Counter({("output.length", "out_of_bounds"): 2, ("custom.cost", "is_text"): 1204})
    worse = replace(SUBJECT, bad_fields=SUBJECT.bad_fields + others, look_alikes=frozenset({"output.refusal"}))
    status = Status("host:9092", [worse, replace(SUBJECT, subject="search")], checkpoint_ms=NOW_MS)
    *_, first, look_alike, second, hint = rendered(status, 100).splitlines()
    assert first == "support-bot: custom.cost is text in 1,204 records"
    assert look_alike == (
        "support-bot: output.refusal is not a field of a record and is ignored: did you mean output.refused?"
    )
    assert second == "search: output.refused has the wrong type in 9 records"
    assert hint == "driftwire status --subject NAME lists the other fields of a subject"
    *_, third, _ = rendered(replace(status, subjects=[worse]), 100, details=True).splitlines()
    assert third == "support-bot: output.length is out of bounds in 2 records"
    assert "the other fields" not in rendered(replace(status, subjects=[SUBJECT]))
    assert [subject["look_alikes"] for subject in status_json(status)["subjects"]] == [["output.refusal"], []]


def test_dead_letters_name_the_command_that_shows_them():
    status = Status("host:9092", [SUBJECT], records=6020, dead_letters=3, checkpoint_ms=NOW_MS)
    assert flat(rendered(status)).endswith(
        "dead letters: 3 of 6,020 records could not be used (0.05 %): driftwire dead-letters --since 1h"
    )


def test_a_subject_that_is_sampled_by_outcome_says_what_is_not_monitored():
    sampled, other = replace(SUBJECT, is_sampled=True), replace(SUBJECT, subject="search")
    status = Status("host:9092", [other, sampled], records=6020, checkpoint_ms=NOW_MS)
    lines = [line for line in rendered(status, 100).splitlines() if "sampled" in line]
    assert lines == ["support-bot is sampled by outcome: signals that depend on the outcome are not monitored"]
    assert [subject["sampled"] for subject in status_json(status)["subjects"]] == [False, True]


def test_waiting_records_say_whether_detect_reads_them():
    waiting = [WaitingRecords(0, 5, NOW_MS - 90_000), WaitingRecords(3, 2, None)]
    stopped = flat(rendered(Status("host:9092", waiting=waiting, checkpoint_ms=NOW_MS - 120_000)))
    assert stopped.startswith(
        "records have arrived, but detect has not read them: 7 messages, the oldest appended 1 min 30 s ago "
        "(partition 0: 5, partition 3: 2). If detect does not run, start it with driftwire up"
    )
    assert stopped.endswith("last checkpoint of detect: 2 min ago. While detect runs, it writes one every second")
    never = flat(rendered(Status("host:9092", waiting=waiting)))
    assert "detect has not read them: 7 messages" in never
    assert never.endswith("detect has not written a checkpoint yet")
    running = flat(rendered(Status("host:9092", waiting=waiting, checkpoint_ms=NOW_MS - 1000)))
    assert running == "detect is reading: 7 messages, the oldest appended 1 min 30 s ago"


def stream(**fields):
    empty = StreamSummary("bot", 0, 0, 0, Counter(), 0, 0, None, (), None)
    return replace(empty, **fields)


def test_the_streams_of_a_subject_are_merged_and_the_furthest_counts():
    bad = Counter({("output.length", "wrong_type"): 2})
    slow = stream(records=10, duplicates=1, bad_fields=bad, last_ms=5, signals=3, learning=replace(FIRST, records=50))
    slow = replace(slow, look_alikes=frozenset({"output.refusal"}))
    fast = stream(records=20, late=4, unversioned_outcomes=7, bad_fields=bad, last_ms=9, signals=2, learning=FIRST)
    (merged,) = merge_streams([slow, fast])
    assert (merged.records, merged.late, merged.duplicates, merged.last_ms, merged.signals) == (30, 4, 1, 9, 3)
    assert merged.bad_fields == {("output.length", "wrong_type"): 4}
    assert (merged.learning, merged.unversioned_outcomes) == (FIRST, 7)
    assert merged.look_alikes == {"output.refusal"}
    (monitored,) = merge_streams([slow, replace(fast, baseline_version="abc", learning=None)])
    assert (monitored.baseline_version, monitored.learning) == ("abc", None)
    (sampled,) = merge_streams([slow, replace(fast, is_sampled=True)])
    assert (merged.is_sampled, sampled.is_sampled) == (False, True)
    assert [found.subject for found in merge_streams([slow, stream(subject="a")])] == ["a", "bot"]


def test_json_has_every_number():
    content = status_json(
        Status(
            "host:9092",
            [replace(SUBJECT, learning=FIRST)],
            records=6020,
            dead_letters=3,
            waiting=[WaitingRecords(0, 5, NOW_MS)],
            checkpoint_ms=NOW_MS,
        )
    )
    assert content["waiting"] == [{"partition": 0, "messages": 5, "since": "2026-11-24T03:12:00.000Z"}]
    (subject,) = content["subjects"]
    assert (subject["state"], subject["records"], subject["duplicates"]) == ("learning", 6000, 17)
    assert subject["bad_fields"] == [{"field": "output.refused", "reason": "wrong_type", "count": 9}]
    assert subject["learning"] == {
        "share": 0.4167,
        "from": "2026-11-23T17:12:00.000Z",
        "to": "2026-11-24T03:12:00.000Z",
        "records": 6000,
        "required_s": 86_400.0,
        "required_records": 5000,
        "ready_at": "2026-11-24T17:12:00.000Z",
        "signals": 12,
        "ready_signals": 3,
    }
