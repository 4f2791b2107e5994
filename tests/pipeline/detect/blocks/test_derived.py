import random

import numpy as np
import pytest

from pipeline.codec import decode, encode
from pipeline.detect.admission.reader import RecordReader
from pipeline.detect.blocks.derived import REPETITION_RECORDS, SETTLING_RECORDS, DerivedSignals
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals.catalogue import DERIVED, SIGNAL_INDEX, SIGNALS
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.drift import Drift
from schemas.relearn import Relearn
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, drive, message, record
from tests.pipeline.detect.worlds import learned, normal_world

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500)
RELEARNING = SETTINGS.model_copy(update={"relearn_after_s": 30.0})
BASELINE = learned(normal_world(1, 5000), SETTINGS)


def fill(derived, objects, panes):
    """Return the records with their derived signals, and the unused embeddings."""
    records = RecordReader().read(objects)
    records.panes = panes
    derived.fill(records)
    return records, {row: reason for row, field, reason in records.faults if field == "data.embedding"}


def derive(derived, name, **columns):
    """Return one derived signal of records with these labels."""
    outputs = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    records, _ = fill(
        derived, [{"subject": "bot", "output": output} for output in outputs], np.full(len(outputs), 1000)
    )
    return records.values[:, SIGNAL_INDEX[name]]


class TestRepeated:
    def test_an_output_is_a_repetition_of_one_of_the_64_before(self):
        others = [f"f{number}" for number in range(REPETITION_RECORDS - 1)]
        assert derive(DerivedSignals(SETTINGS), "repeated", fingerprint=["a", *others, "a"])[-1] == 1
        assert derive(DerivedSignals(SETTINGS), "repeated", fingerprint=["a", "b", *others, "a"])[-1] == 0

    def test_a_record_without_a_fingerprint_has_no_value_and_is_not_counted(self):
        others = [f"f{number}" for number in range(REPETITION_RECORDS - 1)]
        values = derive(DerivedSignals(SETTINGS), "repeated", fingerprint=["a", None, *others, None, "a"])
        assert np.isnan(values[[1, -2]]).all()
        assert values[-1] == 1

    def test_a_repetition_can_itself_be_repeated(self):
        others = [f"f{number}" for number in range(40)]
        more = [f"g{number}" for number in range(40)]
        assert derive(DerivedSignals(SETTINGS), "repeated", fingerprint=["a", *others, "a", *more, "a"])[-1] == 1


class TestLabels:
    def settled(self):
        derived = DerivedSignals(SETTINGS)
        derive(
            derived, "finish_reason_usual", finish_reason=["stop", "stop", "length", "stop"] * (SETTLING_RECORDS // 4)
        )
        return derived

    def test_there_is_no_value_before_the_usual_label_is_fixed(self):
        values = derive(
            DerivedSignals(SETTINGS), "finish_reason_usual", finish_reason=["stop"] * (SETTLING_RECORDS + 1)
        )
        assert np.isnan(values[:-1]).all()
        assert values[-1] == 1

    def test_the_most_frequent_label_is_the_usual_one(self):
        values = derive(self.settled(), "finish_reason_usual", finish_reason=["stop", "length", None, "tool"])
        np.testing.assert_array_equal(values, [1, 0, np.nan, 0])

    def test_while_learning_a_label_is_new_once(self):
        values = derive(self.settled(), "finish_reason_new", finish_reason=["stop", "tool", "tool", None, "filter"])
        np.testing.assert_array_equal(values, [0, 1, 0, np.nan, 1])

    def test_a_label_that_the_baseline_does_not_have_stays_new(self):
        derived = DerivedSignals(SETTINGS)
        derived.apply_baseline(with_shares({"length": 0.2, "stop": 0.8}))
        assert derive(derived, "finish_reason_new", finish_reason=["tool", "stop", "tool"]).tolist() == [1, 0, 1]
        assert derive(derived, "finish_reason_usual", finish_reason=["tool", "stop", "length"]).tolist() == [0, 1, 0]

    def test_a_category_with_too_many_labels_has_no_values(self):
        derived = DerivedSignals(SETTINGS.model_copy(update={"categories_max": 8}))
        labels = [f"l{number % 8}" for number in range(SETTLING_RECORDS)]
        derive(derived, "finish_reason_usual", finish_reason=labels)
        derive(derived, "finish_reason_usual", finish_reason=[f"m{number}" for number in range(20)])
        assert np.isnan(derive(derived, "finish_reason_usual", finish_reason=["stop", "stop"])).all()

    def test_the_state_stays_small_whatever_is_sent(self):
        derived = DerivedSignals(SETTINGS)
        sizes = []
        for batch in range(3):
            derive(
                derived,
                "repeated",
                fingerprint=[f"{batch}-{n}" for n in range(5000)],
                finish_reason=[f"{batch}-{n % 2500}" for n in range(5000)],
            )
            sizes.append(len(encoded(derived)))
        assert max(sizes) < 10_000
        assert sizes[2] < 1.2 * sizes[0]


def test_a_request_is_retried_if_it_has_retries():
    records, _ = fill(
        DerivedSignals(SETTINGS),
        [{"infrastructure": infrastructure} for infrastructure in ({"retries": 0}, {"retries": 2}, {"latency_ms": 5})],
        np.full(3, 1000),
    )
    np.testing.assert_array_equal(records.values[:, SIGNAL_INDEX["retried"]], [0, 1, np.nan])


def with_shares(shares):
    signal = BASELINE.signals["refused"]
    category = signal.model_copy(update={"kind": "category", "shares": shares})
    return BASELINE.model_copy(update={"signals": {"finish_reason": category}})


def encoded(derived):
    return encode(derived.dump(), kind="test")


@pytest.mark.parametrize("seed", range(3))
def test_batches_and_restores_change_nothing(seed):
    rng = random.Random(seed)
    records = []
    for number in range(900):
        fields = record(rng, number, START_MS)
        fields["output"]["fingerprint"] = rng.choice([None, f"f{rng.randrange(200)}"])
        fields["output"]["finish_reason"] = rng.choice(
            ["stop", "stop", "length", None, f"r{number}"][: 4 + (number % 50 == 0)]
        )
        fields["data"]["embedding"] = rng.choice([None, [rng.random() for _ in range(4)], [0, 0], "x"])
        if rng.random() < 0.9:
            fields["infrastructure"]["cost"] = rng.lognormvariate(-4, 1)
        records.append(fields)
    panes = np.sort(np.random.default_rng(seed).integers(0, 4000, 900))

    at_once = DerivedSignals(SETTINGS)
    filled, unused = fill(at_once, records, panes)
    derived_columns = [SIGNAL_INDEX[row.name] for row in SIGNALS if row.section == DERIVED]
    assert not np.isnan(filled.values[:, derived_columns[:3]]).all(axis=0).any()
    assert unused
    derived, parts = DerivedSignals(SETTINGS), []
    for start, stop in [(0, 1), (1, 150), (150, 151), (151, 410), (410, 900)]:
        part, unused_of_part = fill(derived, records[start:stop], panes[start:stop])
        parts.append(part.values)
        assert unused_of_part == {row - start: reason for row, reason in unused.items() if start <= row < stop}
        restored = DerivedSignals(SETTINGS)
        restored.load(decode(encoded(derived), kind="test"))
        derived = restored
    np.testing.assert_array_equal(np.concatenate(parts), filled.values)
    assert encoded(derived) == encoded(at_once)


class TestInTheStep:
    """Streams that learn for two minutes and then break."""

    def firing_drifts(self, break_record, *, seed=1, count=9000):
        rng = random.Random(seed)
        messages = []
        for number in range(count):
            time_ms = START_MS + number * 20
            fields = record(rng, number, time_ms)
            fields["output"]["fingerprint"] = f"f{rng.randrange(20_000)}"
            fields["output"]["finish_reason"] = "length" if rng.random() < 0.02 else "stop"
            fields["infrastructure"].pop("error_type", None)
            fields["data"]["embedding"] = [1 + rng.gauss(0, 0.2), *(rng.gauss(0, 0.2) for _ in range(7))]
            if number > 6500:
                break_record(fields, number, rng)
            messages.append(message(number, as_json(fields), time_ms))
        step = DetectStep(0, SETTINGS, replay=True)
        outputs = drive(step, messages, range(500, count, 500))
        (baseline,) = [Baseline.from_json(output.value) for output in outputs if output.topic == BASELINES]
        assert baseline.centroid is not None
        assert len(baseline.centroid) == 8
        drifts = [Drift.from_json(output.value) for output in outputs if b'"state":"firing"' in output.value]
        return step, {(drift.signal, drift.side, drift.tier, drift.failure_mode) for drift in drifts}

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_a_stream_that_does_not_change_has_no_drift(self, seed):
        assert self.firing_drifts(lambda *_: None, seed=seed)[1] == set()

    @pytest.mark.slow
    def test_one_answer_for_everybody_pages(self):
        def break_record(fields, *_):
            fields["output"]["fingerprint"] = "same"

        assert self.firing_drifts(break_record)[1] == {("repeated", "up", "page", "identical_output")} | {
            ("repeated", "up", "ticket", "identical_output")
        }

    @pytest.mark.slow
    def test_truncated_answers_are_a_ticket(self):
        def break_record(fields, number, rng):
            fields["output"]["finish_reason"] = "length" if rng.random() < 0.3 else "stop"

        assert self.firing_drifts(break_record)[1] == {
            ("finish_reason_usual", "down", "ticket", "context_window_misuse")
        }

    @pytest.mark.slow
    def test_a_reason_never_seen_is_a_ticket(self):
        def break_record(fields, number, rng):
            fields["output"]["finish_reason"] = "content_filter" if rng.random() < 0.1 else "stop"

        assert ("finish_reason_new", "up", "ticket", "context_window_misuse") in self.firing_drifts(break_record)[1]

    def test_another_embedding_model_pages(self):
        def break_record(fields, *_):
            fields["data"]["embedding"] = fields["data"]["embedding"][::-1]

        assert ("embedding_similarity", "down", "page", "embedding_drift") in self.firing_drifts(break_record)[1]

    @pytest.mark.slow
    def test_an_embedding_model_of_another_length_pages(self):
        def break_record(fields, *_):
            fields["data"]["embedding"] = fields["data"]["embedding"] * 2

        assert ("embedding_similarity", "down", "page", "embedding_drift") in self.firing_drifts(break_record)[1]

    def test_bad_embeddings_are_bad_fields_and_an_unusable_field(self):
        def break_record(fields, *_):
            fields["data"]["embedding"] = [0] * 8

        step, drifts = self.firing_drifts(break_record)
        assert drifts == {("unusable_field", "up", "ticket", "unusable_records")}
        assert step.counts()["bad_fields"] >= 2499


@pytest.mark.slow
def test_after_a_relearn_embeddings_are_compared_with_those_of_the_new_model():
    rng = random.Random(5)
    step, checkpoint, outputs = DetectStep(0, RELEARNING, replay=True), Checkpoint(), []
    for batch in range(18):
        if batch == 13:
            relearn = Relearn(relearn_id="r", subject="bot", at=START_MS + 13 * 10_000, signals=[], reason="accepted")
            outputs += step.control(RawMessage(BASELINES, 0, 99, START_MS, b"r", relearn.to_json()))
        messages = []
        for number in range(batch * 500, batch * 500 + 500):
            time_ms = START_MS + number * 20
            fields = record(rng, number, time_ms)
            size = 8 if batch < 13 else 5
            fields["data"]["embedding"] = [1 + rng.gauss(0, 0.2), *(rng.gauss(0, 0.2) for _ in range(size - 1))]
            messages.append(message(number, as_json(fields), time_ms))
        outputs += step.step(messages)
        checkpoint.take(step)
        published = [output for output in outputs if output.topic == BASELINES]
        step = DetectStep(0, RELEARNING, replay=True)
        for offset, output in enumerate(published):
            step.control(RawMessage(BASELINES, 0, offset, START_MS, output.key, output.value))
        if batch >= 13:
            step.control(RawMessage(BASELINES, 0, 99, START_MS, b"r", relearn.to_json()))
        step = checkpoint.restored(step, rng)
    first, second = [Baseline.from_json(output.value) for output in published]
    assert (len(first.centroid), len(second.centroid)) == (8, 5)
    assert second.signals["embedding_similarity"].mean > 0.8


def test_a_record_cannot_carry_a_derived_signal():
    records = RecordReader().read([{"subject": "bot", "derived": {"repeated": True, "throughput_ratio": 3}}])
    assert np.isnan(records.values).all()
    assert SIGNALS[SIGNAL_INDEX["repeated"]].section == DERIVED
