"""A baseline learned from a history equals the live baseline of the same records."""

import json

import numpy as np
import orjson
import pytest

from pipeline.detect.offline.history import learn_history
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.timestamp import format_timestamp, parse_timestamp
from schemas.topics import BASELINES, RECORDS

START_MS = 1_795_000_000_000
SETTINGS = DetectSettings(ready_after_s=600, ready_records=100, ready_records_rate=100)


def lines(subject, count, seed=3):
    draws = np.random.default_rng(seed)
    for number in range(count):
        yield json.dumps(
            {
                "subject": subject,
                "timestamp": START_MS + number * 500,
                "output": {"refused": bool(draws.random() < 0.05), "length": float(draws.gamma(4, 100))},
            }
        ).encode()


def test_every_record_of_the_history_counts():
    history = learn_history(lines("bot", 5000), SETTINGS)
    assert history.baselines["bot"].records == 5000
    assert history.baselines["bot"].signals["refused"].count == 5000
    assert history.unusable.total() == 0


def test_arrays_and_single_records_give_the_same_baseline():
    single = list(lines("bot", 2000))
    arrays = [b"[" + b",".join(single[start : start + 50]) + b"]" for start in range(0, 2000, 50)]
    assert learn_history(arrays, SETTINGS) == learn_history(single, SETTINGS)


def test_each_subject_has_a_baseline_and_one_can_be_selected():
    mixed = [line for pair in zip(lines("a", 1000), lines("b", 1000, seed=4), strict=True) for line in pair]
    both = learn_history(mixed, SETTINGS).baselines
    assert list(both) == ["a", "b"]
    assert learn_history(mixed, SETTINGS, subject="b").baselines == {"b": both["b"]}


def test_unusable_messages_are_counted_and_change_nothing():
    good = list(lines("bot", 1000))
    mixed = [*good[:500], b"{", b"", b'{"subject": 3}', *good[500:]]
    history = learn_history(mixed, SETTINGS)
    assert history.baselines == learn_history(good, SETTINGS).baselines
    assert history.unusable.total() == 3


def test_records_that_the_event_time_guard_holds_are_counted_and_learned_from_by_no_subject():
    history = learn_history([*lines("bot", 1000), *lines("search", 19), *lines("shop", 5)], SETTINGS)
    assert history.held == {"search": 19, "shop": 5}
    assert list(history.baselines) == ["bot"]
    assert learn_history(lines("search", 20), SETTINGS).held == {}


def test_an_empty_history_gives_no_baseline():
    assert learn_history([], SETTINGS).baselines == {}


def test_the_live_step_learns_the_same_baseline():
    values = list(lines("bot", 5000))
    step = DetectStep(0, SETTINGS, replay=True)
    outputs = step.step([RawMessage(RECORDS, 0, offset, 0, None, value) for offset, value in enumerate(values)])
    (live,) = [Baseline.from_json(output.value) for output in outputs if output.topic == BASELINES]
    learned = learn_history(values[: live.records], SETTINGS).baselines["bot"]
    assert live.records < 5000
    assert learned.baseline_version == live.baseline_version
    assert learned.signals["refused"].mean == pytest.approx(0.05, abs=0.02)


def test_only_records_of_the_selected_period_count():
    single = list(lines("bot", 4000))
    arrays = [b"[" + b",".join(single[start : start + 64]) + b"]" for start in range(0, 4000, 64)]
    times = {"from_ms": START_MS + 500_000, "to_ms": START_MS + 1_500_000}
    expected = learn_history(single[1000:3000], SETTINGS).baselines["bot"]
    assert learn_history(single, SETTINGS, **times).baselines["bot"] == expected
    assert learn_history(arrays, SETTINGS, **times).baselines["bot"] == expected


def test_records_as_exporters_write_them_give_the_same_baseline():
    """Local times without an offset, numbers as text, NaN for missing values, and each line twice."""
    settings = SETTINGS.model_copy(update={"time_zone": "Asia/Tokyo"})
    written = []
    for line in lines("bot", 4000):
        fields = orjson.loads(line)
        local_ms = parse_timestamp(fields["timestamp"]) + 9 * 3_600_000
        fields["timestamp"] = format_timestamp(local_ms).replace("T", " ").removesuffix("Z")
        fields["output"]["refused"] = str(fields["output"]["refused"])
        fields.setdefault("data", {})["index_age_s"] = float("nan")
        written.append(json.dumps(fields).encode())
    arrays = [b"[" + b",".join(written[start : start + 64]) + b"]" for start in range(0, 4000, 64)]
    times = {"from_ms": START_MS + 500_000, "to_ms": START_MS + 1_500_000}
    expected = learn_history(lines("bot", 4000), settings, **times).baselines["bot"]
    for values in (written, arrays):
        history = learn_history(values, settings, **times)
        assert history.unusable == {}
        assert history.baselines["bot"] == expected
    assert learn_history(written[:20], SETTINGS).unusable == {"timestamp_invalid": 20}


def test_messages_without_a_time_are_unusable_in_any_period():
    history = learn_history([b'{"subject":"bot"}', b"{", *lines("bot", 500)], SETTINGS, from_ms=START_MS)
    assert history.unusable == {"timestamp_missing": 1, "not_json": 1}
    assert history.baselines["bot"].records == 500
