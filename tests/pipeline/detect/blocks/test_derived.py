import random
from dataclasses import replace

import numpy as np
import pytest

from pipeline.codec import decode, encode
from pipeline.detect.blocks.derived import REPETITION_RECORDS, SETTLING_RECORDS, Derived
from pipeline.detect.intake.reader import RecordReader
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals.catalogue import DERIVED, SIGNALS
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.drift import Drift
from schemas.relearn import Relearn
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, drive, message, record
from tests.pipeline.detect.worlds import learned, normal_world

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500)
PLACES = {signal.name: place for place, signal in enumerate(SIGNALS)}
RELEARNING = SETTINGS.model_copy(update={"relearn_after_s": 30.0})
BASELINE = learned(normal_world(1, 5000), SETTINGS)


def told(derived, name, **columns):
    """What is told by one signal of records with these labels."""
    return read(derived, [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], name)


def read(derived, outputs, name):
    fields = RecordReader().read([{"subject": "bot", "output": output} for output in outputs]).fields
    derived.fill(fields.values, fields, np.full(len(outputs), 1000))
    return fields.values[:, PLACES[name]]


class TestRepeated:
    def test_an_output_is_a_repetition_if_it_is_one_of_the_64_before(self):
        others = [f"f{number}" for number in range(REPETITION_RECORDS - 1)]
        assert told(Derived(SETTINGS), "repeated", fingerprint=["a", *others, "a"])[-1] == 1
        assert told(Derived(SETTINGS), "repeated", fingerprint=["a", "b", *others, "a"])[-1] == 0

    def test_a_record_without_a_fingerprint_says_nothing_and_counts_for_nothing(self):
        others = [f"f{number}" for number in range(REPETITION_RECORDS - 1)]
        found = told(Derived(SETTINGS), "repeated", fingerprint=["a", None, *others, None, "a"])
        assert np.isnan(found[[1, -2]]).all()
        assert found[-1] == 1

    def test_what_was_a_repetition_keeps_the_fingerprint_in_mind(self):
        others = [f"f{number}" for number in range(40)]
        more = [f"g{number}" for number in range(40)]
        assert told(Derived(SETTINGS), "repeated", fingerprint=["a", *others, "a", *more, "a"])[-1] == 1


class TestLabels:
    def settled(self):
        derived = Derived(SETTINGS)
        told(derived, "finish_reason_usual", finish_reason=["stop", "stop", "length", "stop"] * (SETTLING_RECORDS // 4))
        return derived

    def test_nothing_is_told_until_it_is_settled_what_is_usual(self):
        found = told(Derived(SETTINGS), "finish_reason_usual", finish_reason=["stop"] * (SETTLING_RECORDS + 1))
        assert np.isnan(found[:-1]).all()
        assert found[-1] == 1

    def test_the_most_frequent_label_is_the_usual_one(self):
        found = told(self.settled(), "finish_reason_usual", finish_reason=["stop", "length", None, "tool"])
        np.testing.assert_array_equal(found, [1, 0, np.nan, 0])

    def test_while_learning_a_label_is_new_once(self):
        found = told(self.settled(), "finish_reason_new", finish_reason=["stop", "tool", "tool", None, "filter"])
        np.testing.assert_array_equal(found, [0, 1, 0, np.nan, 1])

    def test_by_a_baseline_a_label_that_it_has_not_stays_new(self):
        derived = Derived(SETTINGS)
        derived.follow(of_shares({"length": 0.2, "stop": 0.8}))
        assert told(derived, "finish_reason_new", finish_reason=["tool", "stop", "tool"]).tolist() == [1, 0, 1]
        assert told(derived, "finish_reason_usual", finish_reason=["tool", "stop", "length"]).tolist() == [0, 1, 0]

    def test_a_category_with_too_many_labels_is_no_category(self):
        derived = Derived(SETTINGS.model_copy(update={"categories_max": 8}))
        labels = [f"l{number % 8}" for number in range(SETTLING_RECORDS)]
        told(derived, "finish_reason_usual", finish_reason=labels)
        told(derived, "finish_reason_usual", finish_reason=[f"m{number}" for number in range(20)])
        assert np.isnan(told(derived, "finish_reason_usual", finish_reason=["stop", "stop"])).all()

    def test_its_state_stays_small_whatever_is_sent(self):
        derived = Derived(SETTINGS)
        sizes = []
        for batch in range(3):
            told(
                derived,
                "repeated",
                fingerprint=[f"{batch}-{n}" for n in range(5000)],
                finish_reason=[f"{batch}-{n % 2500}" for n in range(5000)],
            )
            sizes.append(len(written(derived)))
        assert max(sizes) < 10_000
        assert sizes[2] < 1.2 * sizes[0]


def of_shares(shares):
    signal = BASELINE.signals["refused"]
    own = signal.model_copy(update={"kind": "category", "shares": shares})
    return BASELINE.model_copy(update={"signals": {"finish_reason": own}})


def written(derived):
    return encode(derived.dump(), kind="test", settings_hash="")


@pytest.mark.parametrize("seed", range(3))
def test_batches_and_a_state_taken_up_change_nothing(seed):
    rng = random.Random(seed)
    records = []
    for number in range(900):
        each = record(rng, number, START_MS)
        each["output"]["fingerprint"] = rng.choice([None, f"f{rng.randrange(200)}"])
        each["output"]["finish_reason"] = rng.choice(
            ["stop", "stop", "length", None, f"r{number}"][: 4 + (number % 50 == 0)]
        )
        each["data"]["embedding"] = rng.choice([None, [rng.random() for _ in range(4)], [0, 0], "x"])
        records.append(each)
    panes = np.sort(np.random.default_rng(seed).integers(0, 900, 900))

    def fill(derived, start, stop):
        fields = RecordReader().read(records[start:stop]).fields
        unused = derived.fill(fields.values, fields, panes[start:stop])
        return fields.values, unused

    whole = Derived(SETTINGS)
    expected, unused = fill(whole, 0, 900)
    assert (
        not np.isnan(expected[:, [PLACES[row.name] for row in SIGNALS if row.section == DERIVED][:3]]).all(axis=0).any()
    )
    assert unused.total() > 0
    kept, parts = Derived(SETTINGS), []
    for start, stop in [(0, 1), (1, 150), (150, 151), (151, 410), (410, 900)]:
        values, some = fill(kept, start, stop)
        parts.append(values)
        unused -= some
        taken_up = Derived(SETTINGS)
        taken_up.load(decode(written(kept), kind="test", settings_hash=""))
        kept = taken_up
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert written(kept) == written(whole)
    assert not unused.total()


class TestInTheStep:
    """Streams that learn for two minutes and then break."""

    def found(self, broken, *, seed=1, count=9000):
        rng = random.Random(seed)
        messages = []
        for number in range(count):
            time_ms = START_MS + number * 20
            each = record(rng, number, time_ms)
            each["output"]["fingerprint"] = f"f{rng.randrange(20_000)}"
            each["output"]["finish_reason"] = "length" if rng.random() < 0.02 else "stop"
            each["infrastructure"].pop("error_type", None)
            each["data"]["embedding"] = [1 + rng.gauss(0, 0.2), *(rng.gauss(0, 0.2) for _ in range(7))]
            if number > 6500:
                broken(each, number, rng)
            messages.append(message(number, as_json(each), time_ms))
        step = DetectStep(0, SETTINGS, replay=True)
        outputs = drive(step, messages, range(500, count, 500))
        (baseline,) = [Baseline.from_json(each.value) for each in outputs if each.topic == BASELINES]
        assert baseline.centroid is not None
        assert len(baseline.centroid) == 8
        drifts = [Drift.from_json(each.value) for each in outputs if b'"state":"firing"' in each.value]
        return step, {(each.signal, each.side, each.tier, each.failure_mode) for each in drifts}

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_a_stream_that_stays_as_it_was_is_silent(self, seed):
        assert self.found(lambda *_: None, seed=seed)[1] == set()

    def test_one_answer_for_everybody_pages(self):
        def broken(each, *_):
            each["output"]["fingerprint"] = "same"

        assert self.found(broken)[1] == {("repeated", "up", "page", "identical_output")} | {
            ("repeated", "up", "ticket", "identical_output")
        }

    def test_answers_that_are_cut_off_are_a_ticket(self):
        def broken(each, number, rng):
            each["output"]["finish_reason"] = "length" if rng.random() < 0.3 else "stop"

        assert self.found(broken)[1] == {("finish_reason_usual", "down", "ticket", "context_window_misuse")}

    def test_a_reason_never_seen_is_a_ticket(self):
        def broken(each, number, rng):
            each["output"]["finish_reason"] = "content_filter" if rng.random() < 0.1 else "stop"

        assert ("finish_reason_new", "up", "ticket", "context_window_misuse") in self.found(broken)[1]

    def test_another_embedding_model_pages(self):
        def broken(each, *_):
            each["data"]["embedding"] = each["data"]["embedding"][::-1]

        assert ("embedding_similarity", "down", "page", "embedding_drift") in self.found(broken)[1]

    def test_an_embedding_model_of_another_length_pages(self):
        def broken(each, *_):
            each["data"]["embedding"] = each["data"]["embedding"] * 2

        assert ("embedding_similarity", "down", "page", "embedding_drift") in self.found(broken)[1]

    def test_embeddings_that_are_none_are_bad_fields_and_no_drift(self):
        def broken(each, *_):
            each["data"]["embedding"] = [0] * 8

        step, found = self.found(broken)
        assert found == set()
        assert step.counts()["bad_fields"] >= 2499


def test_once_another_embedding_model_is_the_accepted_normal_embeddings_are_compared_with_its_own():
    rng = random.Random(5)
    step, checkpoint, outputs = DetectStep(0, RELEARNING, replay=True), Checkpoint(), []
    for batch in range(18):
        if batch == 13:
            anew = Relearn(relearn_id="r", subject="bot", at=START_MS + 13 * 10_000, signals=[], reason="accepted")
            outputs += step.control(RawMessage(BASELINES, 0, 99, START_MS, b"r", anew.to_json()))
        messages = []
        for number in range(batch * 500, batch * 500 + 500):
            time_ms = START_MS + number * 20
            each = record(rng, number, time_ms)
            size = 8 if batch < 13 else 5
            each["data"]["embedding"] = [1 + rng.gauss(0, 0.2), *(rng.gauss(0, 0.2) for _ in range(size - 1))]
            messages.append(message(number, as_json(each), time_ms))
        outputs += step.step(messages)
        checkpoint.take(step)
        published = [each for each in outputs if each.topic == BASELINES]
        step = DetectStep(0, RELEARNING, replay=True)
        for offset, each in enumerate(published):
            step.control(RawMessage(BASELINES, 0, offset, START_MS, each.key, each.value))
        if batch >= 13:
            step.control(RawMessage(BASELINES, 0, 99, START_MS, b"r", anew.to_json()))
        step = checkpoint.restored(step, rng)
    first, second = [Baseline.from_json(each.value) for each in published]
    assert (len(first.centroid), len(second.centroid)) == (8, 5)
    assert second.signals["embedding_similarity"].mean > 0.8


def test_no_record_carries_a_derived_signal_itself():
    fields = RecordReader().read([{"subject": "bot", "derived": {"repeated": True, "throughput_ratio": 3}}]).fields
    assert np.isnan(fields.values).all()
    assert replace(SIGNALS[PLACES["repeated"]]).section == DERIVED
