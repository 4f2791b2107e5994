from dataclasses import replace

import numpy as np
import pytest

from pipeline.codec import decode, encode
from pipeline.detect.findings.first_seen import LABELS_MAX, RECORDS_MIN, SAME_CHANGE_MS, FirstSeen
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.drift import Drift
from schemas.timestamp import format_timestamp
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, as_json, message
from tests.pipeline.detect.worlds import block, learned, normal_world

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500)
BASELINE = learned(normal_world(1, 5000), SETTINGS)


def of_labels(labels, *, first_row=0, category=None):
    """A block of 50 records a second with these labels, of the prompt's version or of a category."""
    made = block({"refused": np.zeros(len(labels))}, first_row=first_row)
    return replace(made, categories={category: labels}) if category else replace(made, versions={"prompt": labels})


def knowing(*labels, category=None):
    """What has seen these labels, and tells of others."""
    seen = FirstSeen()
    seen.observe(of_labels(list(labels), category=category))
    seen.follow(BASELINE)
    return seen


def segments(found):
    return [each.segment for each in found]


def test_before_there_is_a_baseline_all_that_serves_is_known_and_nothing_told():
    seen = FirstSeen()
    assert seen.observe(of_labels(["v41"] * 100 + ["v42"] * 100)) == []
    seen.follow(BASELINE)
    assert seen.observe(of_labels(["v41", "v42"] * 100)) == []


def test_a_new_version_is_told_once_after_twenty_records():
    seen = knowing("v41")
    assert seen.observe(of_labels(["v42"] * (RECORDS_MIN - 1))) == []
    assert segments(seen.observe(of_labels(["v41"] * 30 + ["v42"] * 30))) == ["prompt=v42"]
    assert seen.observe(of_labels(["v42"] * 100)) == []


def test_it_says_since_when_and_by_which_record_it_was_sure():
    [found] = knowing("v41").observe(of_labels(["v41"] * 50 + ["v41", "v42"] * 50))
    assert found.started_at == START_MS + 51 * 20
    assert found.detected_at == START_MS + (51 + 2 * (RECORDS_MIN - 1)) * 20
    assert found.request_id == f"r-{51 + 2 * (RECORDS_MIN - 1)}"
    assert (found.tier, found.detector, found.state) == ("cause", "first_seen", "firing")
    assert found.signal.name == "versions"
    assert "prompt v42 was first seen at 03:12:01Z" in found.sentence


def test_a_few_odd_records_are_no_version():
    seen = knowing("v41")
    assert seen.observe(of_labels(["v41"] * 1000 + ["v42-test"] * 5)) == []


def test_the_first_labels_of_a_kind_are_known_however_late_they_come():
    seen = FirstSeen()
    seen.follow(BASELINE)
    assert seen.observe(of_labels(["v41"] * 100)) == []
    assert segments(seen.observe(of_labels(["v42"] * 100))) == ["prompt=v42"]


@pytest.mark.parametrize("category", ["provider_model", "schema_id"])
def test_a_providers_model_or_a_schema_never_seen_is_a_ticket(category):
    [found] = knowing("a", category=category).observe(of_labels(["b"] * 30, category=category))
    assert (found.tier, found.signal.name, found.segment) == ("ticket", category, f"{category}=b")


def test_a_baseline_says_which_models_were_seen():
    shares = BASELINE.signals["refused"].model_copy(update={"kind": "category", "shares": {"a": 0.5, "b": 0.5}})
    seen = FirstSeen()
    seen.follow(BASELINE.model_copy(update={"signals": {"provider_model": shares}}))
    assert seen.observe(of_labels(["b"] * 30, category="provider_model")) == []
    assert segments(seen.observe(of_labels(["c"] * 30, category="provider_model"))) == ["provider_model=c"]


@pytest.mark.parametrize(
    ("after_ms", "tier"), [(0, "cause"), (SAME_CHANGE_MS // 2, "cause"), (2 * SAME_CHANGE_MS, "ticket")]
)
def test_a_providers_model_that_came_with_a_version_of_ones_own_is_no_ticket(after_ms, tier):
    seen = FirstSeen()
    seen.observe(replace(of_labels(["v41"]), categories={"provider_model": ["a"]}))
    seen.follow(BASELINE)
    seen.observe(of_labels(["v42"] * 30))
    [found] = seen.observe(of_labels(["b"] * 30, first_row=after_ms // 20, category="provider_model"))
    assert found.tier == tier


def test_years_of_deployments_are_all_told():
    seen, found = knowing("v0"), []
    for number in range(1, 200):
        labels = [f"v{number}"] * 30 + ["steady"] * 30
        found += seen.observe(of_labels(labels, first_row=number * 50 * 43_200))
    assert sorted(segments(found)) == sorted(["prompt=steady", *(f"prompt=v{number}" for number in range(1, 200))])


def test_of_a_kind_with_a_label_for_each_request_nothing_is_told():
    seen = knowing(*(f"build-{number}" for number in range(LABELS_MAX + 1)))
    assert seen.observe(of_labels(["v42"] * 100)) == []


def test_odd_labels_in_between_hide_no_version():
    seen = knowing("v41")
    seen.observe(of_labels([f"odd-{number}" for number in range(1000)]))
    assert segments(seen.observe(of_labels(["v42"] * 30, first_row=1000))) == ["prompt=v42"]
    assert len(encode(seen.dump(), kind="test", settings_hash="")) < 10_000


@pytest.mark.parametrize("size", [1, 7, 100])
def test_blocks_and_a_state_taken_up_change_nothing(size):
    labels = np.random.default_rng(1).choice(["v1", "v2", None], 200).tolist()
    labels += np.random.default_rng(2).choice(["v2", "v3", "v4", None], 400).tolist()
    seen, found = knowing("v1", "v2"), []
    for start in range(0, 600, size):
        found += seen.observe(of_labels(labels[start : start + size], first_row=start))
        taken_up = FirstSeen()
        taken_up.follow(BASELINE)
        taken_up.load(decode(encode(seen.dump(), kind="test", settings_hash=""), kind="test", settings_hash=""))
        seen = taken_up
    whole = knowing("v1", "v2")
    assert sorted(map(repr, found)) == sorted(map(repr, whole.observe(of_labels(labels))))
    assert len(found) == 2


def test_the_message_is_a_drift_of_its_own_for_each_version():
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
    drifts = [Drift.from_json(each.value) for each in outputs if b'"first_seen"' in each.value]
    assert {each.segment for each in drifts} == {"prompt=v42", "prompt=v43", "build=true"}
    assert len({each.drift_id for each in drifts}) == 3
    assert {each.signal for each in drifts} == {"versions"}
