"""Dropped and repeated input becomes a drift, from the first record and without a baseline."""

import itertools
import random

import pytest

from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from tests.pipeline.correlate.builders import only
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, drive, full_state, message
from tests.pipeline.detect.test_step import drifts_of

pytestmark = pytest.mark.slow

LOSSES = {"unusable_field", "duplicates", "dead_letters"}
REGIONS = ("eu-1", "us-1", "us-2")
MINUTE_MS = 60_000


def fields_of(number, time_ms, region="us-1", **infrastructure):
    return {
        "subject": "bot",
        "request_id": f"r-{number}",
        "timestamp": time_ms,
        "environment": "production",
        "infrastructure": {"latency_ms": 500 + number % 300, "error": False} | infrastructure,
        "output": {"length": 300 + number % 90},
        "segment": {"region": region},
        "versions": {"model": "m-1"},
    }


def stream(count, per_s, *, unusable=0.0, duplicates=0.0, burst=range(0), clock=range(0), seed=1):
    """Records of three regions. Numbers in ``burst`` are unusable, those in ``clock`` of eu-1 are six minutes ahead."""
    rng = random.Random(seed)
    values = []
    for number in range(count):
        time_ms = START_MS + number * 1000 // per_s
        region = REGIONS[number % 3]
        sent_ms = time_ms + 6 * MINUTE_MS if region == "eu-1" and number in clock else time_ms - 200
        is_bad = rng.random() < unusable or number in burst
        fields = fields_of(number, sent_ms, region, **({"latency_ms": "fast"} if is_bad else {}))
        values.append((as_json(fields), time_ms))
        if rng.random() < duplicates:
            values.append(values[-1])
    return [message(offset, value, time_ms) for offset, (value, time_ms) in enumerate(values)]


def losses_of(messages, batch=200, **settings):
    step = DetectStep(0, DetectSettings(**settings), replay=False)
    return [
        drift for drift in drifts_of(drive(step, messages, range(0, len(messages), batch))) if drift.signal in LOSSES
    ]


class TestUnusableFields:
    @pytest.mark.parametrize(("share", "within_s"), [(0.1, 60), (0.3, 20), (1.0, 15)])
    def test_a_share_above_the_limit_is_reported_with_the_field(self, share, within_s):
        firing = [drift for drift in losses_of(stream(6000, 50, unusable=share)) if drift.state == "firing"]
        (drift,) = firing
        assert (drift.signal, drift.segment, drift.tier) == (
            "unusable_field",
            "field=infrastructure.latency_ms",
            "ticket",
        )
        assert drift.detected_at <= START_MS + within_s * 1000
        assert drift.now == pytest.approx(share, abs=0.05)
        assert drift.layer == "data"
        assert drift.environment == "production"
        assert "infrastructure.latency_ms is text in " in drift.sentence
        assert "fast" not in drift.sentence

    @pytest.mark.parametrize(("period", "fields"), [(50, []), (3, ["field=sampling_probability"])])
    def test_unusable_probabilities_are_judged_as_a_share_of_all(self, period, fields):
        messages = []
        for number in range(3000):
            at = START_MS + number * 20
            probability = 0 if number % period == 0 else 0.5
            messages.append(message(number, as_json(fields_of(number, at) | {"sampling_probability": probability}), at))
        assert [drift.segment for drift in losses_of(messages) if drift.state == "firing"] == fields

    def test_a_low_rate_of_records_is_enough(self):
        drifts = losses_of(stream(600, 1, unusable=0.3))
        assert drifts[0].detected_at < START_MS + 600_000

    def test_six_percent_is_reported(self):
        assert losses_of(stream(60_000, 50, unusable=0.06))

    @pytest.mark.parametrize("per_s", [1, 50])
    def test_three_percent_is_not_reported(self, per_s):
        assert losses_of(stream(20_000, per_s, unusable=0.03)) == []

    def test_a_burst_is_not_reported(self):
        assert losses_of(stream(6000, 50, burst=range(2000, 2200))) == []

    def test_a_lasting_share_is_reported_once_and_repeated_as_other_drifts_are(self):
        drifts = losses_of(stream(50 * 1500, 50, unusable=0.3))
        assert [drift.state for drift in drifts] == ["firing", "evidence", "evidence", "evidence"]
        assert len({drift.drift_id for drift in drifts}) == 1

    def test_it_recovers(self):
        drifts = losses_of(stream(6000, 50, burst=range(2000, 4000)))
        assert [drift.state for drift in drifts] == ["firing", "evidence", "recovered"]
        assert drifts[-1].updated_at < START_MS + 120_000
        assert drifts[-1].now < 0.05

    def test_the_share_is_one_of_the_values_and_not_of_all_records(self):
        """Two percent of the records carry a field, and all its values are unusable."""
        messages = [
            message(number, as_json(fields_of(number, time_ms, **({"queue_depth": "deep"} if not number % 50 else {}))))
            for number in range(5000)
            for time_ms in (START_MS + number * 20,)
        ]
        assert {drift.segment for drift in losses_of(messages)} == {"field=infrastructure.queue_depth"}

    def test_values_that_are_converted_are_no_losses(self):
        messages = [message(n, as_json(fields_of(n, START_MS + n * 20, latency_ms="812"))) for n in range(5000)]
        assert losses_of(messages) == []

    @pytest.mark.parametrize(
        ("section", "field"),
        [
            ({"custom": {"a": [1, 2]}}, "custom"),
            ({"custom": {"x": "high"}}, "custom.x"),
            ({"segment": {"region": {}}}, "segment.region"),
            ({"segment": {"shelf": {}}}, "segment"),
            ({"data": 7}, "data"),
            ({"data": {"embedding": [0, 0]}}, "data.embedding"),
            ({"output": {"finish_reason": {}}}, "output.finish_reason"),
        ],
    )
    def test_every_kind_of_field_is_watched(self, section, field):
        good = {"custom": {"x": 1.5}}
        messages = [
            message(n, as_json(fields_of(n, START_MS + n * 20) | (section if n % 3 == 1 else good)))
            for n in range(4000)
        ]
        assert {drift.segment for drift in losses_of(messages)} == {f"field={field}"}


class TestDuplicates:
    def test_ten_percent_are_reported(self):
        drifts = losses_of(stream(6000, 50, duplicates=0.1))
        assert [(drift.signal, drift.segment, drift.tier) for drift in drifts if drift.state == "firing"] == [
            ("duplicates", "", "ticket")
        ]
        assert "of records are duplicates" in drifts[0].sentence

    def test_three_percent_are_not_reported(self):
        assert losses_of(stream(20_000, 50, duplicates=0.03)) == []


class TestDeadLetters:
    def test_a_clock_that_is_off_is_named_with_its_region(self):
        drifts = losses_of(stream(12_000, 50, clock=range(3000, 8000)))
        assert [drift.state for drift in drifts] == ["firing", "evidence", "evidence", "recovered"]
        first = drifts[0]
        assert (first.subject, first.signal, first.segment, first.tier) == (
            "bot",
            "dead_letters",
            "reason=timestamp_out_of_range",
            "ticket",
        )
        assert "records from region eu-1 are dated 6 min ahead of their arrival" in first.sentence
        assert first.environment == "production"
        assert START_MS + 60_000 < first.detected_at < START_MS + 90_000
        assert drifts[-1].updated_at < START_MS + 200_000

    def test_a_clock_that_is_off_everywhere_pages(self):
        messages = [
            message(n, as_json(fields_of(n, START_MS + n * 20 + 400_000)), START_MS + n * 20) for n in range(3000)
        ]
        firing = [drift for drift in losses_of(messages) if drift.state == "firing"]
        assert {drift.tier for drift in firing} == {"ticket", "page"}
        assert all("their records are dated 6 min 40 s ahead" in drift.sentence for drift in firing)

    def test_records_without_a_subject_count_for_the_partition(self):
        messages = [
            message(n, b"{}" if n % 4 == 0 else as_json(fields_of(n, START_MS + n * 20)), START_MS + n * 20)
            for n in range(3000)
        ]
        (drift, *_) = losses_of(messages)
        assert (drift.subject, drift.segment) == ("driftwire.records/0", "reason=subject_missing")

    def test_too_many_subjects_are_one_drift(self):
        messages = [
            message(n, as_json(fields_of(n, START_MS + n * 20) | {"subject": f"bot-{n % 500}"}), START_MS + n * 20)
            for n in range(3000)
        ]
        drifts = losses_of(messages, subjects_max=10)
        assert {drift.subject for drift in drifts} == {"driftwire.records/0"}
        assert {drift.segment for drift in drifts} == {"reason=subject_limit"}

    def test_three_percent_are_not_reported(self):
        values = [b"not json" if n % 33 == 0 else as_json(fields_of(n, START_MS + n * 20)) for n in range(20_000)]
        assert losses_of([message(n, value, START_MS + n * 20) for n, value in enumerate(values)]) == []


@pytest.mark.parametrize("replay", [True, False])
def test_batches_and_restarts_change_nothing(replay):
    rng = random.Random(3)
    messages = stream(6000, 50, unusable=0.12, duplicates=0.12, clock=range(2000, 4500))
    messages += [message(m.offset, b"{}", m.timestamp) for m in messages[::9]]
    messages = [
        message(offset, one.value, one.timestamp)
        for offset, one in enumerate(sorted(messages, key=lambda one: (one.timestamp, one.offset)))
    ]
    unbroken = DetectStep(0, DetectSettings(), replay=replay)
    expected = unbroken.step(messages)
    signals = {drift.signal for drift in drifts_of(expected)}
    assert LOSSES - signals == set()
    singly = DetectStep(0, DetectSettings(), replay=replay)
    assert drive(singly, messages, range(len(messages))) == expected
    assert full_state(singly) == full_state(unbroken)
    cuts = [0, *sorted(rng.sample(range(1, len(messages)), 40)), len(messages)]
    step, checkpoint, outputs = DetectStep(0, DetectSettings(), replay=replay), Checkpoint(), []
    for start, end in itertools.pairwise(cuts):
        outputs += step.step(messages[start:end])
        checkpoint.take(step)
        step = checkpoint.restored(DetectStep(0, DetectSettings(), replay=replay), rng)
    assert outputs == expected
    assert full_state(step) == full_state(unbroken)


def test_a_gap_resets_the_evidence():
    messages = stream(3000, 50, unusable=0.08)
    step = DetectStep(0, DetectSettings(), replay=False)
    drifts = []
    for start in range(0, len(messages), 250):
        drifts += drifts_of(step.step(messages[start : start + 250]))
        step.on_gap()
    assert drifts == []


def test_an_incident_says_what_is_lost_and_whose_clock_is_off():
    messages = stream(6000, 50, unusable=0.3, clock=range(6000))
    outputs = DetectStep(0, DetectSettings(), replay=False).step(messages)
    incident = only(*drifts_of(outputs))
    assert incident.failure_mode == "unusable_records"
    assert incident.severity == "P4"
    assert "of records in which infrastructure.latency_ms is text" in incident.summary
    sentences = [line.sentence for line in incident.evidence]
    assert any("records from region eu-1 are dated 6 min ahead of their arrival" in text for text in sentences)
    assert any("infrastructure.latency_ms is text in" in text for text in sentences)
