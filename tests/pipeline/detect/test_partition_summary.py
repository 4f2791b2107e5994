"""The summary of a checkpoint has the exact counts of the step, the progress of learning, and nothing of the settings."""

import random
from collections import Counter

import orjson
import pytest

from pipeline.codec import FORMAT
from pipeline.detect.partition_summary import is_needed, summarize_partition
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.state import NewerState, Part
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.relearn import Relearn
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, message, record

SETTINGS = DetectSettings(ready_after_s=600, ready_records=1000, ready_records_rate=500)
INTERVAL_MS = 500


def values(count, *, first=0, subject="bot", interval_ms=INTERVAL_MS):
    rng = random.Random(f"{subject}/{first}")
    fields = (record(rng, number, START_MS + number * interval_ms, subject) for number in range(first, first + count))
    return [orjson.dumps(value) for value in fields]


def is_needed_key(key):
    part, _ = Part.from_key(key)
    return is_needed(part.kind, part.item)


class Stored:
    """A step and the parts that it wrote to a compacted topic."""

    def __init__(self, settings=SETTINGS):
        self.step = DetectStep(0, settings, replay=True)
        self._parts = {}
        self._offset = 0

    def push(self, sent):
        outputs = []
        for value in sent:
            outputs += self.step.step([message(self._offset, value)])
            self._offset += 1
        for key, part in self.step.changed():
            if part is None:
                self._parts.pop(key, None)
            else:
                self._parts[key] = part
        return outputs

    def control(self, content):
        self.step.control(RawMessage(BASELINES, 0, 0, START_MS, b"", content.to_json()))

    def summary(self, settings=SETTINGS):
        needed = {key: part for key, part in self._parts.items() if is_needed_key(key)}
        return summarize_partition(needed.items(), settings)

    def stream(self, subject="bot"):
        return next(stream for stream in self.summary().streams if stream.subject == subject)


@pytest.fixture(scope="module")
def learning():
    stored = Stored()
    sent = values(800)
    stored.push([*sent, *sent[:30], b"{", *values(40, subject="search")])
    return stored


def test_most_of_the_state_is_not_needed(learning):
    sizes = {key: len(part) for key, part in learning._parts.items()}
    needed = sum(size for key, size in sizes.items() if is_needed_key(key))
    assert needed < 0.3 * sum(sizes.values())


def test_the_counts_are_those_of_the_step(learning):
    summary, counts = learning.summary(), learning.step.counts()
    assert [stream.subject for stream in summary.streams] == ["bot", "search"]
    assert (summary.records, summary.dead_letters) == (counts["records"], counts["dead_letters"]) == (871, 1)
    for total in ("used", "duplicates", "late", "bad_fields"):
        name = "records" if total == "used" else total
        found = [getattr(stream, name) for stream in summary.streams]
        assert sum(value.total() if isinstance(value, Counter) else value for value in found) == counts[total]
    assert summary.problems == []


def test_the_fields_of_a_stream_are_those_of_its_state(learning):
    stream, live = learning.stream(), learning.step.streams["bot"]
    assert (stream.records, stream.duplicates) == (800, 30)
    assert stream.bad_fields == live.columns.bad_fields
    assert stream.bad_fields.total() > 0
    assert stream.look_alikes == live.columns.look_alikes
    assert stream.last_ms == live.watermark == START_MS + 799 * INTERVAL_MS
    assert stream.signals == len(live.columns.signals)
    assert (stream.baseline_version, stream.relearned_signals) == (None, None)


def test_the_progress_of_learning_has_exact_numbers(learning):
    live = learning.step.streams["bot"]
    assert learning.stream().learning == live.learner.progress()
    progress = live.learner.progress()
    buffered = len(live.buffer)
    assert progress.records == 800 - buffered
    assert progress.from_ms == START_MS
    assert progress.to_ms == pytest.approx(START_MS + progress.records * INTERVAL_MS, abs=1000)
    assert (progress.required_s, progress.required_records) == (600.0, 1000)
    assert progress.share == pytest.approx(progress.records * INTERVAL_MS / 600_000, abs=0.002)
    # Records arrive at 2 per second: the period of 600 s is met after 1,200 records, and the 1,000 records before that.
    assert progress.ready_at_ms == START_MS + 600_000


def test_signals_with_enough_records_are_counted_by_kind(learning):
    live = learning.step.streams["bot"]
    baseline = live.learner.baseline("live")
    measured = [name for name, signal in baseline.signals.items() if signal.kind != "category"]
    progress = learning.stream().learning
    # Rates need 500 records, values need 1,000: only the rates that most records carry have enough.
    assert progress.ready_signals == len(measured) > 0
    assert progress.ready_signals < progress.signals <= len(live.columns.signals)


def test_few_records_delay_the_estimate():
    stored = Stored()
    stored.push(values(100, interval_ms=5000))
    progress = stored.stream().learning
    expected = START_MS + 1000 * 5000
    assert progress.share == pytest.approx(0.1, abs=0.01)
    assert progress.ready_at_ms == pytest.approx(expected, rel=0, abs=60_000)


def test_a_monitored_stream_has_its_baseline_and_what_is_scheduled_and_relearned():
    stored = Stored()
    outputs = stored.push(values(1400))
    (baseline,) = [Baseline.from_json(output.value) for output in outputs if output.topic == BASELINES]
    stream = stored.stream()
    assert (stream.baseline_version, stream.learning) == (baseline.baseline_version, None)
    scheduled = baseline.model_copy(
        update={"source": "file", "baseline_version": "later", "effective_at": START_MS + 86_400_000}
    )
    stored.control(scheduled)
    relearn_at = START_MS + 1400 * INTERVAL_MS
    stored.control(
        Relearn(relearn_id="r", subject="bot", at=relearn_at, signals=["refused"], reason="accepted", requested_by="jo")
    )
    stored.push(values(600, first=1400))
    stream, live = stored.stream(), stored.step.streams["bot"]
    assert stream.scheduled_versions == ("later",)
    assert stream.baseline_version == baseline.baseline_version
    assert stream.relearned_signals == ("refused",)
    assert stream.relearning == live.relearning.learner.progress()
    assert 0 < stream.relearning.records <= 600
    assert stream.relearning.required_s == SETTINGS.relearn_after_s


def test_a_stream_is_sampled_by_outcome_from_its_first_marked_record():
    stored = Stored()
    marked = [orjson.dumps(orjson.loads(value) | {"sampled": "tail"}) for value in values(100, first=100)]
    stored.push([*values(100), *values(200, subject="search")])
    assert not stored.stream().is_sampled
    stored.push(marked)
    assert stored.step.streams["bot"].sampling.is_active
    assert [stream.is_sampled for stream in stored.summary().streams] == [True, False]


def test_changed_settings_hide_nothing(learning):
    changed = SETTINGS.model_copy(update={"slices": 96, "duplicate_window": 64, "ready_after_s": 1200.0})
    summary = learning.summary(changed)
    assert summary.problems == []
    (stream, _) = summary.streams
    assert stream.learning.records == learning.stream().learning.records
    assert stream.learning.required_s == 1200.0


def test_the_first_record_is_counted_before_a_block_is_observed():
    stored = Stored()
    stored.step = DetectStep(0, SETTINGS, replay=False)
    stored.push(values(1))
    stream = stored.stream()
    assert (stream.records, stream.learning) == (1, None)


def test_state_of_a_newer_version_is_refused():
    value = f'{{"format":{FORMAT + 1},"kind":"partition","settings":{{}},"state":{{}}}}'.encode()
    with pytest.raises(NewerState):
        summarize_partition([(b"partition/", value)], SETTINGS)


def test_a_damaged_part_is_a_problem_and_hides_no_other_subject():
    stored = Stored()
    stored.push([*values(50), *values(50, subject="search")])
    stored._parts[b"stream/bot"] = b'{"format":%d,"kind":"stream","settings":{},"state":{}}' % FORMAT
    summary = stored.summary()
    assert [stream.subject for stream in summary.streams] == ["search"]
    assert any("stream/bot is discarded" in problem for problem in summary.problems)
