import itertools
import random

import pytest

from pipeline.codec import encode
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.state import Part
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.dead_letter import DeadLetter
from schemas.drift import Drift
from schemas.tick import Tick
from schemas.timestamp import format_timestamp
from schemas.topics import BASELINES, DEAD_LETTERS, DRIFTS
from tests.pipeline.detect.streams import (
    START_MS,
    Checkpoint,
    as_json,
    drive,
    full_state,
    message,
    outcome,
    record,
)

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500)
DAY_MS = 86_400_000


def messages_of(*, count=2000, subject="bot", start_ms=START_MS, seed=1, refused=0.01, step_ms=50, offset=0):
    rng = random.Random(seed)
    values = [
        as_json(record(rng, offset + number, start_ms + number * step_ms, subject, refused)) for number in range(count)
    ]
    return [message(offset + number, value, start_ms + number * step_ms) for number, value in enumerate(values)]


def new_step(**fields):
    return DetectStep(0, fields.pop("settings", SETTINGS), replay=fields.pop("replay", False))


def outputs_of_topic(outputs, topic):
    return [output for output in outputs if output.topic == topic]


def drifts_of(outputs):
    return [
        Drift.from_json(output.value)
        for output in outputs_of_topic(outputs, DRIFTS)
        if b'"type":"drift"' in output.value
    ]


def ticks_of(outputs):
    return [
        Tick.from_json(output.value) for output in outputs_of_topic(outputs, DRIFTS) if b'"type":"tick"' in output.value
    ]


def learned(**fields):
    """A baseline, learned from an ordinary stream."""
    (output,) = outputs_of_topic(new_step().step(messages_of(**fields)), BASELINES)
    return Baseline.from_json(output.value)


BASELINE = learned()


def published(baseline, **changes):
    changed = baseline.model_copy(update=changes)
    return RawMessage(BASELINES, 0, 0, START_MS, b"key", changed.to_json())


def version_of(step, subject="bot"):
    return step.streams[subject].baseline_version


class TestLearningAndMonitoring:
    def test_a_stream_without_change_is_learned_once_and_gives_nothing_else(self):
        outputs = new_step().step(messages_of(count=6000))
        (output,) = outputs_of_topic(outputs, BASELINES)
        # A third of the error types in the stream are unusable.
        assert {drift.segment for drift in drifts_of(outputs)} == {"field=infrastructure.error_type"}
        assert len(outputs) == len(drifts_of(outputs)) + 1
        baseline = Baseline.from_json(output.value)
        assert output.topic == BASELINES
        assert output.key == f"bot/{baseline.baseline_version}".encode()
        assert baseline.source == "live"
        assert {"latency_ms", "refused", "retrieval_score"} <= baseline.signals.keys()

    def test_refusals_that_rise_give_one_page_with_evidence(self):
        step = new_step()
        step.step(messages_of(count=2000))
        broken = messages_of(count=1500, refused=0.5, start_ms=START_MS + 100_000, offset=2000)
        drifts = drifts_of(step.step(broken))
        fired = [drift for drift in drifts if drift.state == "firing" and drift.tier == "page"]
        assert [(drift.signal, drift.side) for drift in fired] == [("refused", "up")]
        assert fired[0].subject == "bot"
        assert (fired[0].environment, fired[0].provider) == ("production", "openai")
        assert fired[0].baseline_version == version_of(step)
        assert fired[0].started_at <= fired[0].detected_at
        assert len(fired[0].drift_id) == 16
        later = [drift for drift in drifts if drift.drift_id == fired[0].drift_id]
        assert [drift.sequence for drift in later] == list(range(len(later)))
        assert len(later) > 1

    def test_two_subjects_with_the_same_failure_have_two_drifts(self):
        ids = set()
        for subject in ("bot", "search"):
            step = new_step()
            step.step(messages_of(subject=subject))
            broken = messages_of(subject=subject, refused=0.5, start_ms=START_MS + 100_000, offset=2000)
            ids |= {drift.drift_id for drift in drifts_of(step.step(broken)) if drift.tier == "page"}
        assert len(ids) == 2

    def test_the_judged_share_counts_values_and_those_that_a_monitor_tested(self):
        step = new_step()
        step.control(published(BASELINE))
        assert step.judged_share() == 0
        step.step(messages_of())
        # Custom signals are in one of ten records: too few in this short baseline to be monitored.
        assert 0.95 < step.judged_share() < 0.98


class TestDuplicatesAndLateRecords:
    def test_a_record_sent_twice_is_used_once(self):
        messages = messages_of(count=100)
        step = new_step()
        step.step([*messages, *messages])
        counts = step.counts()
        assert (counts["used"], counts["duplicates"]) == (100, 100)

    def test_outcomes_of_one_request_with_other_fields_are_all_used(self):
        first = as_json(record(random.Random(1), 1, START_MS))
        thumbs = as_json(outcome("bot", 1, START_MS))
        clicked = as_json({"subject": "bot", "request_id": "r-1", "timestamp": START_MS, "output": {"clicked": True}})
        step = new_step()
        step.step([message(n, value) for n, value in enumerate([first, thumbs, clicked, thumbs])])
        assert step.counts()["used"] == 3
        assert step.counts()["duplicates"] == 1

    def test_records_without_a_request_id_are_never_duplicates(self):
        value = as_json({"subject": "bot", "timestamp": START_MS, "output": {"length": 1}})
        step = new_step()
        step.step([message(n, value) for n in range(50)])
        assert step.counts()["used"] == 50

    def test_the_same_request_id_of_two_subjects_is_not_a_duplicate(self):
        values = [as_json(record(random.Random(1), 1, START_MS, subject)) for subject in ("a", "b")]
        step = new_step()
        step.step([message(n, value) for n, value in enumerate(values)])
        assert step.counts()["used"] == 2

    def test_a_late_record_is_used_counted_and_does_not_move_the_watermark_back(self):
        values = [as_json(record(random.Random(1), n, START_MS - 5000 * n)) for n in range(2)]
        step = new_step()
        step.step([message(n, value) for n, value in enumerate(values)])
        assert (step.counts()["used"], step.counts()["late"]) == (2, 1)
        assert step.streams["bot"].watermark == START_MS
        assert step.streams["bot"].buffer.records.panes.tolist() == [START_MS // 1000] * 2


class TestTicks:
    def test_a_replay_ticks_when_ten_seconds_of_event_time_have_passed(self):
        step = new_step(replay=True)
        ticks = ticks_of(step.step(messages_of(count=1000)))
        assert [tick.watermark - START_MS for tick in ticks] == [950, 10_000, 20_000, 30_000, 40_000]
        assert {(tick.partition, tick.wall) for tick in ticks} == {(0, None)}

    def test_a_long_jump_gives_one_tick(self):
        step = new_step(replay=True)
        step.step(messages_of(count=100))
        assert len(ticks_of(step.step(messages_of(count=1, start_ms=START_MS + 600_000, offset=100)))) == 1

    def test_a_tick_follows_the_outputs_of_the_same_record(self):
        outputs = drive(new_step(replay=True), messages_of(count=2000), range(2000))
        at = next(index for index, output in enumerate(outputs) if output.topic == BASELINES)
        assert b'"type":"tick"' in outputs[at - 1].value or b'"type":"tick"' in outputs[at + 1].value
        times = [tick.watermark for tick in ticks_of(outputs)]
        assert times == sorted(times)

    def test_live_no_record_ticks_and_the_wall_clock_does(self):
        step = new_step()
        assert ticks_of(step.step(messages_of(count=1000))) == []
        (output,) = step.tick(START_MS + 60_000)
        tick = Tick.from_json(output.value)
        assert (output.topic, output.key) == (DRIFTS, None)
        assert (tick.watermark, tick.wall) == (START_MS + 999 * 50, START_MS + 60_000)

    def test_before_any_record_a_tick_has_no_watermark(self):
        assert Tick.from_json(new_step().tick(START_MS)[0].value).watermark is None


class TestBaselines:
    def test_a_published_baseline_is_applied_to_a_stream_that_learns(self):
        step = new_step()
        step.step(messages_of(count=100))
        assert step.control(published(BASELINE)) == []
        assert version_of(step) == BASELINE.baseline_version
        assert outputs_of_topic(step.step(messages_of(count=3000, offset=100)), BASELINES) == []

    def test_a_published_baseline_waits_for_its_stream_to_appear(self):
        step = new_step()
        step.control(published(BASELINE, source="file"))
        step.step(messages_of(count=1))
        assert version_of(step) == BASELINE.baseline_version

    def test_a_baseline_of_another_subject_changes_nothing(self):
        step = new_step()
        step.control(published(BASELINE, subject="search"))
        step.step(messages_of(count=1))
        assert version_of(step) is None

    @pytest.mark.parametrize(("source", "expected"), [("live", "v1"), ("file", "v2"), ("accepted", "v2")])
    @pytest.mark.parametrize("appears", ["before", "between", "after"])
    def test_a_live_baseline_never_replaces_another_and_a_deliberate_one_does(self, source, expected, appears):
        step, first = new_step(), messages_of(count=1)
        for index, at in enumerate(("before", "between", "after")):
            if appears == at:
                step.step(first)
            if index < 2:
                current = "file" if index == 0 else source
                step.control(published(BASELINE, baseline_version=f"v{index + 1}", source=current))
        step.step(messages_of(count=1, offset=1))
        assert version_of(step) == expected

    def test_buffered_records_are_tested_against_the_baseline_before(self):
        step = new_step()
        step.control(published(BASELINE, baseline_version="v1"))
        step.step(messages_of(count=10))
        assert len(step.streams["bot"].buffer) == 10
        before = step.streams["bot"].monitor
        step.control(published(BASELINE, baseline_version="v2", source="file"))
        assert len(step.streams["bot"].buffer) == 0
        assert before.finite_values > 0
        assert step.streams["bot"].monitored.seen == before.finite_values

    @pytest.mark.parametrize("batch", [1, 7, 1000])
    def test_a_scheduled_baseline_applies_from_the_record_that_reaches_its_time(self, batch):
        step = new_step()
        step.control(published(BASELINE, baseline_version="v1"))
        later = published(BASELINE, baseline_version="v2", source="accepted", effective_at=START_MS + 5000)
        step.control(later)
        messages = messages_of(count=200)
        drive(step, messages[:100], range(0, 100, batch))
        assert version_of(step) == "v1"
        drive(step, messages[100:101])
        assert version_of(step) == "v2"
        assert len(step.streams["bot"].buffer) == 1

    def test_two_scheduled_baselines_apply_in_the_order_of_their_times(self):
        step = new_step()
        for version, delay in (("v2", 4000), ("v1", 2000)):
            step.control(published(BASELINE, baseline_version=version, source="file", effective_at=START_MS + delay))
        step.step(messages_of(count=60))
        assert version_of(step) == "v1"
        step.step(messages_of(count=60, start_ms=START_MS + 3000, offset=60))
        assert version_of(step) == "v2"

    @pytest.mark.parametrize("value", [b"?", b"{}", b"[]", BASELINE.to_json()[:-20], b"\xff"])
    def test_a_message_that_is_not_a_baseline_is_a_dead_letter(self, value):
        (output,) = new_step().control(RawMessage(BASELINES, 0, 4, START_MS, b"k", value))
        letter = DeadLetter.from_json(output.value)
        assert output.topic == DEAD_LETTERS
        assert (letter.reason, letter.topic, letter.offset) == ("contract", BASELINES, 4)
        assert "\n" not in letter.detail

    def test_a_tombstone_of_a_baseline_is_ignored(self):
        assert new_step().control(RawMessage(BASELINES, 0, 4, START_MS, b"k", None)) == []

    def test_baselines_are_stored_for_a_limited_number_of_subjects(self):
        step = new_step(settings=DetectSettings(subjects_max=2))
        for subject in ("a", "b", "c"):
            step.control(published(BASELINE, subject=subject))
        assert step._baselines.baselines_of("a") == []
        assert len(step._baselines.baselines_of("c")) == 1


class TestRestore:
    def after(self, count=2500):
        step, checkpoint = new_step(replay=True), Checkpoint()
        outputs = step.step(messages_of(count=count))
        checkpoint.take(step)
        (baseline,) = outputs_of_topic(outputs, BASELINES)
        return step, checkpoint.parts, RawMessage(BASELINES, 0, 0, START_MS, baseline.key, baseline.value)

    def test_a_state_whose_baseline_is_missing_warns_and_learns(self):
        _, parts, _ = self.after()
        step = new_step(replay=True)
        problems = list(step.restore(parts.items()))
        assert len(problems) == 1
        assert "is not among the published baselines" in problems[0]
        assert step.streams["bot"].learner is not None
        step.step(messages_of(count=10, offset=2500, start_ms=START_MS + 2500 * 50))

    def test_a_monitor_state_that_does_not_fit_resets_evidence_and_retains_the_baseline(self):
        before, parts, baseline = self.after()
        parts[Part("monitor", "bot").key()] = encode({"x": 1}, kind="monitor")
        step = new_step(replay=True)
        step.control(baseline)
        problems = list(step.restore(parts.items()))
        assert any("evidence is reset" in problem for problem in problems)
        assert version_of(step) == version_of(before)
        assert step.streams["bot"].watermark == before.streams["bot"].watermark

    @pytest.mark.parametrize(
        "part", [Part("rows", "bot"), Part("statistics", "bot"), Part("duplicates", "bot", "0")], ids=str
    )
    def test_a_damaged_part_loses_only_itself(self, part):
        before, parts, baseline = self.after(count=2510)
        assert part.key() in parts
        parts[part.key()] = b"?"
        step = new_step(replay=True)
        step.control(baseline)
        (problem,) = step.restore(parts.items())
        assert problem.startswith(f"the state {part} is discarded: ")
        same = [name for name, value in full_state(step).items() if value == full_state(before)[name]]
        assert len(full_state(before)) - len(same) == 1

    def test_a_deliberate_baseline_that_came_meanwhile_applies_to_the_next_record(self):
        _, parts, baseline = self.after()
        step = new_step(replay=True)
        step.control(baseline)
        step.control(published(BASELINE, baseline_version="v2", source="accepted"))
        step.control(published(BASELINE, baseline_version="v3", source="live"))
        assert list(step.restore(parts.items())) == []
        assert version_of(step) not in ("v2", "v3")
        step.step(messages_of(count=1, offset=2500, start_ms=START_MS + 2500 * 50))
        assert version_of(step) == "v2"

    def test_a_scheduled_baseline_stays_scheduled_and_an_old_one_does_not_return(self):
        step, checkpoint = new_step(replay=True), Checkpoint()
        controls = [
            published(BASELINE, baseline_version="v2", source="file", effective_at=START_MS + 100_000),
            published(BASELINE, baseline_version="v1", source="file"),
            published(BASELINE, baseline_version="v3", source="file", effective_at=START_MS + 200_000),
        ]
        step.step(messages_of(count=100))
        for control in controls:
            step.control(control)
        for start_ms, expected in ((5000, "v1"), (100_000, "v2"), (150_000, "v2"), (200_000, "v3"), (250_000, "v3")):
            step.step(messages_of(count=50, start_ms=START_MS + start_ms, offset=start_ms))
            assert version_of(step) == expected
            checkpoint.take(step)
            step = new_step(replay=True)
            for control in controls:
                step.control(control)
            step = checkpoint.restored(step, random.Random(1))
            assert version_of(step) == expected

    def test_buffered_records_that_became_a_block_do_not_come_back(self):
        step, checkpoint = new_step(), Checkpoint()
        messages = messages_of(count=512, step_ms=0)
        drive(step, messages[:300])
        checkpoint.take(step)
        assert Part("rows", "bot").key() in checkpoint.parts
        drive(step, messages[300:])
        checkpoint.take(step)
        restored = checkpoint.restored(new_step(), random.Random(1))
        assert len(restored.streams["bot"].buffer) == 0
        assert Part("rows", "bot").key() not in checkpoint.parts

    def test_a_stream_whose_counters_are_lost_is_discarded(self):
        _, parts, _ = self.after()
        del parts[Part("stream", "bot").key()]
        step = new_step(replay=True)
        (problem,) = step.restore(parts.items())
        assert "bot: " in problem
        assert step.streams == {}

    def test_a_learner_that_lost_a_part_restarts(self):
        step, checkpoint = new_step(replay=True), Checkpoint()
        step.step(messages_of(count=500))
        checkpoint.take(step)
        checkpoint.parts[Part("learner", "bot", "head").key()] = b"?"
        step = new_step(replay=True)
        problems = list(step.restore(checkpoint.parts.items()))
        assert any("restarts" in problem for problem in problems)
        assert not step.streams["bot"].learner.is_ready()
        checkpoint.take(step)
        assert not [key for key in checkpoint.parts if key.startswith(b"learner")]
        step.step(messages_of(count=500, offset=500, start_ms=START_MS + 25_000))
        checkpoint.take(step)
        again = checkpoint.restored(new_step(replay=True), random.Random(1))
        assert full_state(again) == full_state(step)

    def test_a_gap_resets_the_evidence_and_is_written(self):
        step, _, _ = self.after()
        assert list(step.changed()) == []
        step.on_gap()
        assert any(key.startswith(b"monitor/") for key, _ in step.changed())


class TestManySubjects:
    SETTINGS = DetectSettings(subjects_max=4)

    def stream(self, seed):
        rng, time_ms, values = random.Random(seed), START_MS, []
        for number in range(400):
            time_ms += rng.choice((10, 1000, 3_000_000))
            subject = f"s{rng.randrange(4 + number // 40)}"
            fields = {"subject": subject, "timestamp": format_timestamp(time_ms), "output": {"length": number}}
            values.append((as_json(fields), time_ms))
        return [message(number, value, time_ms) for number, (value, time_ms) in enumerate(values)]

    @pytest.mark.slow
    @pytest.mark.parametrize("replay", [False, True])
    @pytest.mark.parametrize("seed", range(3))
    def test_eviction_does_not_depend_on_batches_or_restarts(self, seed, replay):
        messages, rng = self.stream(seed), random.Random(seed)
        unbroken = new_step(settings=self.SETTINGS, replay=replay)
        expected = unbroken.step(messages)
        letters = [DeadLetter.from_json(output.value) for output in outputs_of_topic(expected, DEAD_LETTERS)]
        assert {"subject_limit"} <= {letter.reason for letter in letters}
        for count in (3, 60, 399):
            cuts = [0, *sorted(rng.sample(range(1, 400), count)), 400]
            step, checkpoint, outputs = new_step(settings=self.SETTINGS, replay=replay), Checkpoint(), []
            for start, end in itertools.pairwise(cuts):
                outputs += step.step(messages[start:end])
                if rng.random() < 0.2:
                    checkpoint.take(step)
                    step = checkpoint.restored(new_step(settings=self.SETTINGS, replay=replay), rng)
            assert outputs == expected
            assert full_state(step) == full_state(unbroken)
            assert step.counts() == unbroken.counts()
        counts = unbroken.counts()
        assert counts["records"] == sum(counts[what] for what in ("used", "duplicates", "held", "dead_letters"))

    def test_a_stream_silent_for_a_week_is_evicted_and_leaves_no_state(self):
        step, checkpoint = new_step(settings=self.SETTINGS), Checkpoint()
        for number in range(5):
            start_ms = START_MS + number * 3 * DAY_MS
            step.step(messages_of(count=1, subject=f"s{number}", start_ms=start_ms, offset=number))
            checkpoint.take(step)
        assert set(step.streams) == {"s1", "s2", "s3", "s4"}
        assert {Part.from_key(key)[0].name for key in checkpoint.parts} == {"", "s1", "s2", "s3", "s4"}
        assert step.counts()["used"] == 5

    def test_a_stream_with_a_baseline_is_not_evicted(self):
        step = new_step(settings=DetectSettings(subjects_max=1))
        step.control(published(BASELINE))
        step.step(messages_of(count=1))
        outputs = step.step(messages_of(count=1, subject="new", start_ms=START_MS + 30 * DAY_MS, offset=1))
        assert [DeadLetter.from_json(output.value).reason for output in outputs] == ["subject_limit"]
