from dataclasses import replace

import numpy as np
import pytest

from pipeline.codec import decode, encode
from pipeline.detect.findings.first_seen import RECORDS_MIN, SAME_CHANGE_MS, FirstSeen
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.drift import Drift
from schemas.timestamp import format_timestamp
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, as_json, message
from tests.pipeline.detect.worlds import block, learned, normal_world

LABELS_MAX = 64
SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500)
BASELINE = learned(normal_world(1, 5000), SETTINGS)


def block_of_labels(labels, *, first_row=0, category=None):
    """A block of 50 records per second with these labels, of the prompt version or of a category."""
    made = block({"refused": np.zeros(len(labels))}, first_row=first_row)
    return replace(made, categories={category: labels}) if category else replace(made, versions={"prompt": labels})


def tracker_with(*labels, category=None):
    """A FirstSeen that knows these labels and reports others."""
    tracker = FirstSeen(LABELS_MAX)
    tracker.observe(block_of_labels(list(labels), category=category))
    tracker.follow(BASELINE)
    return tracker


def segments(findings):
    return [finding.segment for finding in findings]


def test_before_a_baseline_labels_are_remembered_and_not_reported():
    tracker = FirstSeen(LABELS_MAX)
    assert tracker.observe(block_of_labels(["v41"] * 100 + ["v42"] * 100)) == []
    tracker.follow(BASELINE)
    assert tracker.observe(block_of_labels(["v41", "v42"] * 100)) == []


def test_a_new_version_is_reported_once_after_twenty_records():
    tracker = tracker_with("v41")
    assert tracker.observe(block_of_labels(["v42"] * (RECORDS_MIN - 1))) == []
    assert segments(tracker.observe(block_of_labels(["v41"] * 30 + ["v42"] * 30))) == ["prompt=v42"]
    assert tracker.observe(block_of_labels(["v42"] * 100)) == []


def test_a_finding_has_the_first_record_and_the_twentieth():
    [finding] = tracker_with("v41").observe(block_of_labels(["v41"] * 50 + ["v41", "v42"] * 50))
    assert finding.started_at == START_MS + 51 * 20
    assert finding.detected_at == START_MS + (51 + 2 * (RECORDS_MIN - 1)) * 20
    assert finding.request_id == f"r-{51 + 2 * (RECORDS_MIN - 1)}"
    assert (finding.tier, finding.detector, finding.state) == ("cause", "first_seen", "firing")
    assert finding.signal.name == "versions"
    assert "prompt v42 was first seen at 03:12:01Z" in finding.sentence


def test_a_few_odd_records_are_not_a_version():
    tracker = tracker_with("v41")
    assert tracker.observe(block_of_labels(["v41"] * 1000 + ["v42-test"] * 5)) == []


def test_the_first_labels_of_a_kind_are_known_however_late_they_come():
    tracker = FirstSeen(LABELS_MAX)
    tracker.follow(BASELINE)
    assert tracker.observe(block_of_labels(["v41"] * 100)) == []
    assert segments(tracker.observe(block_of_labels(["v42"] * 100))) == ["prompt=v42"]


@pytest.mark.parametrize("category", ["provider_model", "schema_id"])
def test_a_new_provider_model_or_schema_is_a_ticket(category):
    [finding] = tracker_with("a", category=category).observe(block_of_labels(["b"] * 30, category=category))
    assert (finding.tier, finding.signal.name, finding.segment) == ("ticket", category, f"{category}=b")


def test_models_of_the_baseline_are_not_new():
    shares = BASELINE.signals["refused"].model_copy(update={"kind": "category", "shares": {"a": 0.5, "b": 0.5}})
    tracker = FirstSeen(LABELS_MAX)
    tracker.follow(BASELINE.model_copy(update={"signals": {"provider_model": shares}}))
    assert tracker.observe(block_of_labels(["b"] * 30, category="provider_model")) == []
    assert segments(tracker.observe(block_of_labels(["c"] * 30, category="provider_model"))) == ["provider_model=c"]


@pytest.mark.parametrize(
    ("after_ms", "tier"), [(0, "cause"), (SAME_CHANGE_MS // 2, "cause"), (2 * SAME_CHANGE_MS, "ticket")]
)
def test_a_provider_model_that_came_with_a_new_version_is_not_a_ticket(after_ms, tier):
    tracker = FirstSeen(LABELS_MAX)
    tracker.observe(replace(block_of_labels(["v41"]), categories={"provider_model": ["a"]}))
    tracker.follow(BASELINE)
    tracker.observe(block_of_labels(["v42"] * 30))
    [finding] = tracker.observe(block_of_labels(["b"] * 30, first_row=after_ms // 20, category="provider_model"))
    assert finding.tier == tier


def test_years_of_deployments_are_all_reported():
    tracker, findings = tracker_with("v0"), []
    for number in range(1, 200):
        labels = [f"v{number}"] * 30 + ["steady"] * 30
        findings += tracker.observe(block_of_labels(labels, first_row=number * 50 * 43_200))
    assert sorted(segments(findings)) == sorted(["prompt=steady", *(f"prompt=v{number}" for number in range(1, 200))])


def test_a_kind_with_a_label_per_request_is_not_reported():
    tracker = tracker_with(*(f"build-{number}" for number in range(LABELS_MAX + 1)))
    assert tracker.observe(block_of_labels(["v42"] * 100)) == []


def test_odd_labels_do_not_hide_a_version():
    tracker = tracker_with("v41")
    tracker.observe(block_of_labels([f"odd-{number}" for number in range(1000)]))
    assert segments(tracker.observe(block_of_labels(["v42"] * 30, first_row=1000))) == ["prompt=v42"]
    assert len(encode(tracker.dump(), kind="test")) < 10_000


@pytest.mark.parametrize("size", [1, 7, 100])
def test_block_sizes_and_restores_change_nothing(size):
    labels = np.random.default_rng(1).choice(["v1", "v2", None], 200).tolist()
    labels += np.random.default_rng(2).choice(["v2", "v3", "v4", None], 400).tolist()
    tracker, findings = tracker_with("v1", "v2"), []
    for start in range(0, 600, size):
        findings += tracker.observe(block_of_labels(labels[start : start + size], first_row=start))
        restored = FirstSeen(LABELS_MAX)
        restored.follow(BASELINE)
        restored.load(decode(encode(tracker.dump(), kind="test"), kind="test"))
        tracker = restored
    unbroken = tracker_with("v1", "v2")
    assert sorted(map(repr, findings)) == sorted(map(repr, unbroken.observe(block_of_labels(labels))))
    assert len(findings) == 2


def test_each_version_is_a_drift_of_its_own():
    step = DetectStep(0, SETTINGS, replay=False)
    step.control(
        RawMessage(BASELINES, 0, 0, START_MS, b"key", BASELINE.model_copy(update={"subject": "bot"}).to_json())
    )
    labels = ["v41"] * 200 + ["v42"] * 200 + ["v43"] * 200
    outputs = step.step(
        [
            message(
                number,
                as_json(
                    {
                        "subject": "bot",
                        "timestamp": format_timestamp(START_MS + number * 20),
                        "versions": {"prompt": label, "build": 7 if number < 300 else True},
                        "output": {"refused": False},
                    }
                ),
                START_MS + number * 20,
            )
            for number, label in enumerate(labels)
        ]
    )
    outputs += step.streams["bot"].flush()
    drifts = [Drift.from_json(output.value) for output in outputs if b'"first_seen"' in output.value]
    assert {drift.segment for drift in drifts} == {"prompt=v42", "prompt=v43", "build=true"}
    assert len({drift.drift_id for drift in drifts}) == 3
    assert {drift.signal for drift in drifts} == {"versions"}
