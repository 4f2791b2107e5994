"""A backtest finds what the steps would have found, states what it judged, and says when it judged nothing."""

import heapq
import json

import pytest

from pipeline.backtest import BacktestSettings, LearningPeriod, Playback, RecordTimes
from pipeline.detect.offline import learn_history
from pipeline.route import ReceiverSettings, RouteSettings
from tests.past_records import CHANGE, SETTINGS, START_MS, deployment, past_records, time_of

LEARNING = LearningPeriod(time_of(3000), "the first half")


def play(messages, *, learning=LEARNING, settings=SETTINGS, route=None, **options):
    return Playback(BacktestSettings(settings, route=route), learning, **options).play(messages)


def by_time(*streams):
    return heapq.merge(*streams, key=lambda line: json.loads(line)["timestamp"])


def test_a_failure_pages_with_its_deployment_as_the_suspect():
    result = play(past_records(refused=0.5), deployments=[deployment()])
    (incident,) = result.pages
    assert not result.tickets
    assert incident.shown.failure_mode == "refusal_spike"
    assert abs(incident.shown.started_at - time_of(CHANGE)) < 5_000
    assert incident.shown.suspects[0].deployment_id == "d-1"
    assert incident.is_open
    assert [one.deployment_id for one in incident.material.deployments] == ["d-1"]
    assert incident.material.drifts
    assert result.records_used == 6000
    assert result.judged_share > 0.97


def test_quiet_records_are_judged_and_page_nobody():
    result = play(past_records())
    assert not result.incidents
    assert result.is_judged
    assert result.records_unusable == 0


def test_learning_ends_at_its_time_so_the_failure_is_not_part_of_normal():
    (subject,) = play(past_records(refused=0.5)).subjects
    assert 3000 <= subject.baseline.records <= 3100
    assert subject.baseline.signals["refused"].channels["rate"].mean < 0.02


def test_the_rows_have_normal_now_and_the_smallest_visible_changes():
    (subject,) = play(past_records(refused=0.5)).subjects
    rows = {row.signal.name: row for row in subject.signals}
    assert rows["refused"].normal == pytest.approx(0.01, abs=0.005)
    assert rows["refused"].now == pytest.approx(0.5, abs=0.1)
    assert {change.tier for change in rows["refused"].changes if change.size} == {"page", "ticket"}
    assert rows["refused"].not_judged == ""
    assert rows["latency_ms"].now == pytest.approx(403, rel=0.1)
    assert len(rows["latency_ms"].levels) == 60
    assert "fewer than 1,000 records" in rows["throughput_ratio"].not_judged


def test_a_rare_signal_is_named_with_the_reason_why_it_was_not_judged():
    rare = past_records(count=6000, data={"index_age_s": 60})
    lines = [line if number % 10 == 0 else line.replace(b"index_age_s", b"other") for number, line in enumerate(rare)]
    (subject,) = play(lines).subjects
    (row,) = [row for row in subject.signals if row.signal.name == "index_age_s"]
    assert row.not_judged == "fewer than 1,000 records contained it while the baseline was learned"


def test_all_subjects_are_played_and_a_late_one_is_not_judged_silently():
    records = by_time(past_records(refused=0.5), past_records(subject="late", start=3500), past_records(subject="calm"))
    result = play(records)
    problems = {subject.subject: subject.problem for subject in result.subjects}
    assert problems == {"bot": "", "calm": "", "late": "none of its records was used in the learning period"}
    assert {incident.shown.subject for incident in result.incidents} == {"bot"}


def test_too_few_records_judge_nothing_and_say_why():
    result = play(past_records(count=900), learning=LearningPeriod(time_of(450), "half"))
    assert not result.is_judged
    assert result.subjects[0].problem.startswith(
        "only 500 records were in the learning period, and a signal needs 1,000"
    )


def test_a_given_baseline_judges_from_the_first_record():
    baseline = learn_history(past_records(count=3000), SETTINGS).baselines["bot"]
    result = play(
        past_records(refused=0.5, change=500, count=2000), learning=LearningPeriod(None, ""), baselines=[baseline]
    )
    assert [one.shown.failure_mode for one in result.pages] == ["refusal_spike"]
    assert result.judged_share > 0.97


def test_what_cannot_be_used_is_counted_by_reason():
    lines = list(past_records())
    lines[100:100] = [b"not json", b'{"subject": "bot"}', b"[1]"]
    lines[200] = lines[200].replace(b'"refused": false', b'"refused": "perhaps"')
    result = play(lines)
    counts = {(one.what, one.reason): one.count for one in result.unusable}
    assert counts == {
        ("records", "not_json"): 1,
        ("records", "timestamp_missing"): 1,
        ("records", "not_an_object"): 1,
    }
    assert result.records_unusable == 3
    assert [(bad.what, bad.count) for bad in result.subjects[0].bad_fields] == [("output.refused", 1)]


def test_the_routes_of_the_configuration_decide_who_is_notified():
    route = RouteSettings(receivers=(ReceiverSettings(name="on-call", console=True),), default_receivers=("on-call",))
    (incident,) = play(past_records(refused=0.5), route=route).pages
    assert incident.notifications[0].receiver == "on-call"
    assert incident.notifications[0].outcome == "sent"
    assert incident.notifications[0].reason_code == "first_notification"


def test_the_result_does_not_depend_on_the_arrival_of_deployments_in_their_file():
    deployments = [deployment(4800, deployment_id="d-2", kind="index"), deployment()]
    first = play(past_records(refused=0.5), deployments=deployments)
    second = play(past_records(refused=0.5), deployments=deployments[::-1])
    assert first.incidents[0].last == second.incidents[0].last
    assert [one.deployment_id for one in first.deployments] == ["d-1", "d-2"]


def test_one_wrong_clock_does_not_move_the_learning_period():
    times = RecordTimes()
    for number in range(5000):
        times.add(7_258_118_400_000 if number == 7 else time_of(number))
    first, last = times.span()
    assert abs(first - START_MS) < 10_000
    assert abs(last - time_of(5000)) < 10_000
