"""Silences of an office and of real traffic through the whole step: live and replayed, restarts, batches, incidents."""

import itertools
import random

import numpy as np
import pytest

from load.score.suites import recorded
from pipeline.correlate.step import CorrelateStep
from pipeline.detect.fleet import quiet_blocks
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.detect.stream import streams
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.topics import ALERTS, BASELINES, DRIFTS
from tests.load.score.scenarios import DATA
from tests.pipeline.correlate.builders import AT_ONCE, incidents
from tests.pipeline.detect.streams import Checkpoint, as_json, drive, full_state, message
from tests.pipeline.detect.test_step import drifts_of
from tests.pipeline.detect.traffic.minutes import DAY
from tests.pipeline.detect.traffic.weeks import DAYS, clock, first_of, office, without

pytestmark = pytest.mark.slow

SETTINGS = DetectSettings(ready_records=300, ready_records_rate=200, flush_after_s=60)
MINUTE_MS = 60_000
TICK_MS = 10_000
SERVEGEN = DATA / "traffic" / "servegen-m-large.csv.gz"


def messages_of(counts, day, seed, subject="bot"):
    """Records at random times of the minutes of an office, with values that do not drift."""
    rng, sent = random.Random(f"{seed} {subject}"), []
    for index, count in enumerate(counts.tolist()):
        for time_ms in sorted(rng.randrange(MINUTE_MS) for _ in range(count)):
            at_ms = (first_of(day) + index) * MINUTE_MS + time_ms
            fields = {"infrastructure": {"latency_ms": round(rng.lognormvariate(6, 0.4), 1)}}
            record = {"subject": subject, "request_id": f"{subject}-{len(sent)}", "timestamp": at_ms, **fields}
            sent.append(message(len(sent), as_json(record), at_ms))
    return sent


def silences(outputs):
    return [drift for drift in drifts_of(outputs) if drift.signal == "silence"]


def incidents_of(outputs):
    """The newest revision of each incident that correlate makes of drifts and ticks."""
    step = CorrelateStep(AT_ONCE)
    sent = [RawMessage(DRIFTS, 0, n, 0, output.key, output.value) for n, output in enumerate(outputs)]
    revisions = incidents([one for one in step.step(sent) if one.topic == ALERTS])
    return list({incident.incident_id: incident for incident in revisions}.values()), revisions


def run_live(messages, until_ms, *, packs=False, restarts=(), seed=1):
    """The outputs of a live worker that ticks every ten seconds, takes a checkpoint every hour, and may restart."""
    step, checkpoint, outputs = DetectStep(0, SETTINGS, replay=False), Checkpoint(), []
    assert list(step.restore([])) == []
    start, waiting, rng = messages[0].timestamp // TICK_MS * TICK_MS, 0, random.Random(seed)
    for now_ms in range(start + TICK_MS, until_ms, TICK_MS):
        due = waiting
        while due < len(messages) and messages[due].timestamp <= now_ms:
            due += 1
        outputs += step.step(messages[waiting:due]) if due > waiting else []
        waiting = due
        outputs += step.tick(now_ms)
        if packs and now_ms % 3_600_000 == 0:
            checkpoint.take(step)
        if now_ms in restarts:
            checkpoint.take(step)
            published = [one for one in outputs if one.topic == BASELINES]
            step = DetectStep(0, SETTINGS, replay=False)
            for offset, output in enumerate(published):
                step.control(message(offset, output.value, now_ms, output.key))
            checkpoint.restored(step, rng)
    return outputs, step


def at(day, week, hour):
    """Unix milliseconds of a time of a week since the first Monday."""
    return (first_of(day) + week * 7 * DAY + round(60 * hour)) * MINUTE_MS


def assert_same(live, replayed):
    """Assert that both found the same silences. A live one is found at the next ticks, which come every ten seconds."""
    assert [(one.tier, one.state, one.started_at // MINUTE_MS) for one in live] == [
        (one.tier, one.state, one.started_at // MINUTE_MS) for one in replayed
    ]
    delays_ms = [one.updated_at - other.updated_at for one, other in zip(live, replayed, strict=True)]
    assert all(0 <= delay_ms <= 2 * TICK_MS for delay_ms in delays_ms)


@pytest.mark.parametrize(("day", "seed"), [("Monday", 1001), ("Thursday", 1002)])
def test_a_live_office_is_a_ticket_on_its_first_weekend_and_pages_on_a_tuesday_at_eleven(day, seed, monkeypatch):
    monkeypatch.setattr(streams, "PACKED_AFTER_MS", 3_600_000)
    counts = without(office(day, 2, seed, weeks=2), day, "Tuesday", 1, 11, 2)
    messages = [one for one in messages_of(counts, day, seed) if one.timestamp < at("Wednesday", 1, 12)]
    live, _ = run_live(messages, at("Wednesday", 1, 12), packs=True)
    ticket, ended, page, resumed = silences(live)
    assert [one.state for one in (ticket, ended, page, resumed)] == ["firing", "recovered"] * 2
    assert (ticket.tier, clock(ticket.detected_at // MINUTE_MS)[0]) == ("ticket", "Saturday")
    assert ticket.sentence.endswith("requests are typical; ticket, because it began in a quiet time")
    assert (page.tier, clock(page.detected_at // MINUTE_MS)[0]) == ("page", "Tuesday")
    assert clock(page.detected_at // MINUTE_MS)[1] < 13
    assert "requests are typical; page" in page.sentence
    replayed = drive(DetectStep(0, SETTINGS, replay=True), messages, range(0, len(messages), 400))
    assert_same(silences(live), silences(replayed))


def test_restarts_of_a_live_office_cause_no_page_on_a_weekend():
    messages = [
        one
        for one in messages_of(office("Monday", 2, 1003, weeks=2), "Monday", 1003)
        if one.timestamp < at("Monday", 1, 12)
    ]
    restarts = [at(day, week, hour) for day, week, hour in (("Tuesday", 0, 14), ("Friday", 0, 20), ("Sunday", 0, 11))]
    outputs, _ = run_live(messages, at("Monday", 1, 12), restarts=restarts)
    assert {drift.tier for drift in silences(outputs)} == {"ticket"}


def test_a_monday_without_anybody_becomes_a_page_of_the_same_incident():
    counts = without(office("Monday", 2, 1004), "Monday", "Monday", 4, -24, 48)
    outputs = drive(DetectStep(0, SETTINGS, replay=True), messages_of(counts, "Monday", 1004), range(0, 20_000, 500))
    *_, ticket, page, ticket_end, page_end = silences(outputs)
    assert [(one.tier, one.state) for one in (ticket, page, ticket_end, page_end)] == [
        ("ticket", "firing"),
        ("page", "firing"),
        ("ticket", "recovered"),
        ("page", "recovered"),
    ]
    assert ticket.started_at == page.started_at == page_end.started_at
    assert {clock(one.detected_at // MINUTE_MS)[:1] for one in (ticket, page)} == {("Monday",)}
    assert (ticket_end.drift_id, page_end.drift_id) == (ticket.drift_id, page.drift_id)
    newest, revisions = incidents_of(outputs)
    incident = max(newest, key=lambda one: one.started_at)
    assert incident.failure_mode == "silence"
    assert {line.tier for line in incident.evidence} == {"page"}
    severities = [one.severity for one in revisions if one.incident_id == incident.incident_id]
    assert severities[0] == "P4"
    assert "P2" in severities
    assert incident.status == "resolved"


def test_batches_and_restarts_change_nothing():
    counts = without(office("Monday", 1, 1005, weeks=2), "Monday", "Tuesday", 1, 11, 2)
    messages = messages_of(counts, "Monday", 1005)
    unbroken = DetectStep(0, SETTINGS, replay=True)
    expected = unbroken.step(messages)
    assert {drift.tier for drift in silences(expected)} == {"ticket", "page"}
    parts = DetectStep(0, SETTINGS, replay=True)
    assert drive(parts, messages, range(0, len(messages), 37)) == expected
    assert full_state(parts) == full_state(unbroken)
    rng, checkpoint, outputs = random.Random(5), Checkpoint(), []
    step = DetectStep(0, SETTINGS, replay=True)
    cuts = [0, *sorted(rng.sample(range(1, len(messages)), 40)), len(messages)]
    for start, end in itertools.pairwise(cuts):
        outputs += step.step(messages[start:end])
        checkpoint.take(step)
        baselines = [one for one in outputs if one.topic == BASELINES]
        step = DetectStep(0, SETTINGS, replay=True)
        for offset, output in enumerate(baselines):
            step.control(message(offset, output.value, 0, output.key))
        checkpoint.restored(step, rng)
    assert outputs == expected
    assert full_state(step) == full_state(unbroken)


def test_a_gap_in_the_input_is_no_silence_and_no_pause():
    counts = office("Monday", 2, 1006, weeks=1)
    messages = messages_of(counts, "Monday", 1006)
    step = DetectStep(0, SETTINGS, replay=True)
    before = [one for one in messages if one.timestamp < at("Wednesday", 0, 11)]
    after = [one for one in messages if at("Wednesday", 0, 14) <= one.timestamp < at("Friday", 0, 12)]
    outputs = step.step(before) + step.on_gap() + step.step(after)
    assert silences(outputs) == []
    newest = Baseline.from_json([one.value for one in outputs if one.topic == BASELINES][-1])
    gaps = [
        newest.traffic.hours_from // MINUTE_MS + gap.after_s // 60 for gap in newest.traffic.gaps if gap.length_s > 7200
    ]
    assert "Wednesday" not in {clock(begin)[0] for begin in gaps if 9 < clock(begin)[1] < 15}


def test_streams_of_a_fleet_give_the_same_as_alone(monkeypatch):
    monkeypatch.setattr(quiet_blocks, "STREAMS_MIN", 1)
    subjects = ("bot", "search", "agent", "review")
    sent = {}
    for number, subject in enumerate(subjects):
        counts = office("Monday", 2, 1007 + number, weeks=1)
        counts = without(counts, "Monday", "Wednesday", 0, 11, 2) if subject == "search" else counts
        sent[subject] = messages_of(counts, "Monday", 1007, subject)
    merged = sorted(itertools.chain(*sent.values()), key=lambda one: (one.timestamp, one.value))
    together = DetectStep(0, SETTINGS, replay=False)
    outputs = drive(together, merged, range(0, len(merged), 300))
    state = full_state(together)
    for subject in subjects:
        alone = DetectStep(0, SETTINGS, replay=False)
        drifts = drifts_of(drive(alone, sent[subject], range(0, len(sent[subject]), 100)))
        assert drifts == [drift for drift in drifts_of(outputs) if drift.subject == subject]
        expected = {part: content for part, content in full_state(alone).items() if part != "dead_letters"}
        assert {part: state[part] for part in expected} == expected
    assert {drift.subject for drift in silences(outputs)} == {"search"}


def servegen_lines(seed=None):
    """The two weeks of ServeGen, with eight holes of one to four hours if there is a seed. Also return their starts."""
    rng, holes = random.Random(seed), []
    while seed is not None and len(holes) < 8:
        start = recorded.SERVEGEN_START_MS + rng.randrange(26 * 60, (14 * 24 - 6) * 60) * MINUTE_MS
        end = start + rng.uniform(1, 4) * 3_600_000
        if all(end + 6 * 3_600_000 < other[0] or start > other[1] + 6 * 3_600_000 for other in holes):
            holes.append((start, end))
    lines = [
        line
        for line in recorded._read_servegen(SERVEGEN)
        if not any(start <= int(line.split(b'"timestamp":')[1].split(b",")[0]) < end for start, end in holes)
    ]
    return lines, sorted(start for start, _ in holes)


@pytest.mark.skipif(not SERVEGEN.exists(), reason="the recorded streams are missing")
@pytest.mark.parametrize("seed", [None, 1001])
def test_each_hole_in_real_traffic_is_one_page_and_without_holes_there_is_none(seed):
    lines, holes = servegen_lines(seed)
    step = DetectStep(0, DetectSettings(flush_after_s=60), replay=True)
    outputs = drive(step, [message(n, line) for n, line in enumerate(lines)], range(0, len(lines), 2000))
    firing = [drift for drift in silences(outputs) if drift.state == "firing"]
    assert [drift.tier for drift in firing] == ["page"] * len(holes)
    assert [abs(drift.started_at - start) < 2 * MINUTE_MS for drift, start in zip(firing, holes, strict=True)] == [
        True
    ] * len(holes)
    assert not [drift for drift in drifts_of(outputs) if drift.signal == "request_rate"]
    newest, _ = incidents_of(outputs)
    assert sum(incident.failure_mode == "silence" for incident in newest) == len(holes)


def test_the_days_of_the_tests_are_days():
    assert DAYS.index("Thursday") == 3
    assert np.datetime64(first_of("Thursday"), "m").astype("datetime64[D]") == np.datetime64("2026-12-03")
