"""A fixed limit is broken, stays broken and recovers by its records alone, with or without a baseline."""

import functools
import random

import numpy as np
import pytest

from pipeline.detect.offline.drifts import read_drifts
from pipeline.detect.offline.history import learn_history
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signal_rule import SignalRule
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.timestamp import format_timestamp
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, full_state, message

BASE = DetectSettings(ready_after_s=600, ready_records=1000, ready_records_rate=1000, segments=("tenant",))
STEP_MS = 200
MINUTE = 60_000 // STEP_MS
"""Records of a minute."""

P95 = {"statistic": "p95", "above": 5000.0}
RULE = {"signal": "latency_ms", "limits": [P95]}


def settings(*rules, base=BASE):
    return base.model_copy(update={"signals": tuple(SignalRule.model_validate(rule) for rule in rules)})


def records(*phases, subject="bot", seed=1, step_ms=STEP_MS, first=0):
    """Records of a subject in phases: minutes, and the changes of each."""
    draws = np.random.default_rng([seed, *subject.encode()])
    number = first
    for minutes, changes in phases:
        for _ in range(round(minutes * 60_000 / step_ms)):
            slow = draws.random() < changes.get("slow", 0.01)
            yield {
                "subject": subject,
                "request_id": f"r-{number}",
                "timestamp": format_timestamp(START_MS + number * step_ms),
                "infrastructure": {
                    "latency_ms": float(draws.uniform(6000, 7000) if slow else draws.normal(1000, 100)),
                    "error": bool(draws.random() < changes.get("errors", 0.02)),
                },
                "custom": {"toxicity": float(draws.normal(changes.get("toxicity", 0.3), 0.05))},
                "segment": {"tenant": ("acme", "bolt", "crane")[number % 3]},
            } | ({"sampled": "tail"} if changes.get("sampled") else {})
            number += 1


def messages(*streams):
    rows = [values for together in zip(*streams, strict=True) for values in together]
    return [message(offset, as_json(values), START_MS) for offset, values in enumerate(rows)]


@functools.cache
def baseline_of(subject):
    lines = [as_json(values) for values in records((30, {}), subject=subject, seed=9)]
    (baseline,) = learn_history(lines, BASE).baselines.values()
    return baseline.to_json()


def prepared(with_settings, *subjects, has_baseline=True):
    step = DetectStep(0, with_settings, replay=True)
    for subject in subjects if has_baseline else ():
        step.control(RawMessage(BASELINES, 0, 0, START_MS, subject.encode(), baseline_of(subject)))
    return step


def drifts_of(with_settings, *phases, has_baseline=True, batch=500, **how):
    step, outputs = prepared(with_settings, "bot", has_baseline=has_baseline), []
    sent = messages(list(records(*phases, **how)))
    for start in range(0, len(sent), batch):
        outputs += step.step(sent[start : start + batch])
    return [drift for drift in read_drifts(outputs) if drift.detector == "limit"]


def states(drifts):
    return [drift.state for drift in drifts if drift.state != "evidence"]


BREACH = ((10, {}), (10, {"slow": 0.3}), (20, {}))


@pytest.mark.parametrize("has_baseline", [True, False])
def test_a_percentile_above_its_limit_is_one_drift_from_the_breach_to_the_recovery(has_baseline):
    learning = settings(RULE) if has_baseline else settings(RULE, base=BASE.model_copy(update={"ready_after_s": 7200}))
    drifts = drifts_of(learning, *BREACH, has_baseline=has_baseline)
    assert states(drifts) == ["firing", "recovered"]
    assert len({drift.drift_id for drift in drifts}) == 1
    assert [drift.sequence for drift in drifts] == list(range(len(drifts)))
    firing, recovered = drifts[0], drifts[-1]
    assert (firing.signal, firing.channel, firing.side, firing.tier) == ("latency_ms", "limit_p95", "up", "page")
    assert (firing.normal, firing.failure_mode, firing.baseline_version) == (5000.0, "latency_degradation", "")
    assert firing.sentence.startswith(
        f"p95 of latency_ms {firing.now:,.0f} ms is above the limit of 5,000 ms since 03:2"
    )
    assert firing.started_at == START_MS + 10 * 60_000
    assert 60_000 <= firing.detected_at - firing.started_at <= 120_000
    assert 5 * 60_000 <= recovered.updated_at - (START_MS + 20 * 60_000) <= 11 * 60_000
    assert "within the limit of 5,000 ms" in recovered.sentence
    assert recovered.now < 5000.0


def test_the_percentile_of_a_breach_is_that_of_its_records():
    (firing, *_) = drifts_of(settings(RULE), (30, {"slow": 0.5}))
    window = list(records((30, {"slow": 0.5})))[: firing.records]
    expected = np.quantile([values["infrastructure"]["latency_ms"] for values in window], 0.95)
    assert firing.now == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("slow", [0.0, 0.01, 0.03])
def test_normal_records_within_a_limit_never_break_it(slow):
    assert drifts_of(settings(RULE), (100, {"slow": slow})) == []


def test_records_around_a_limit_break_it_seldom_and_do_not_flap():
    drifts = drifts_of(settings(RULE), (120, {"slow": 0.05}), seed=4)
    assert states(drifts).count("firing") <= 2


@pytest.mark.parametrize(
    ("signal", "limit", "changes", "channel", "text"),
    [
        ("error", {"statistic": "mean", "above": 0.05}, {"errors": 0.2}, "limit_rate", "is above the limit of 5.0 %"),
        (
            "custom.toxicity",
            {"statistic": "mean", "below": 0.25},
            {"toxicity": 0.2},
            "limit_mean",
            "is below the limit",
        ),
        ("custom.toxicity", {"statistic": "p50", "above": 0.4}, {"toxicity": 0.5}, "limit_p50", "is above the limit"),
        ("custom.*", {"statistic": "p5", "below": 0.2}, {"toxicity": 0.2}, "limit_p5", "is below the limit"),
    ],
)
def test_rates_means_and_percentiles_have_limits_in_both_directions(signal, limit, changes, channel, text):
    drifts = drifts_of(settings({"signal": signal, "limits": [limit]}), (10, {}), (10, changes), (20, {}))
    assert states(drifts) == ["firing", "recovered"]
    assert {drift.channel for drift in drifts} == {channel}
    assert text in drifts[0].sentence


def test_percentiles_of_a_pattern_do_not_apply_to_the_rates_that_it_matches():
    rule = {"signal": "*", "limits": [{"statistic": "p50", "below": 0.5}, {"statistic": "mean", "below": -1.0}]}
    drifts = drifts_of(settings(rule), (30, {}))
    assert {drift.signal for drift in drifts} == {"custom.toxicity"}


def test_a_limit_needs_enough_records_and_its_window_grows_until_it_has_them():
    # One record in ten seconds: 30 in five minutes. The window grows to 300.
    drifts = drifts_of(settings(RULE), (60, {}), (60, {"slow": 0.6}), step_ms=10_000)
    assert states(drifts) == ["firing"]
    assert drifts[0].records == 300
    (clear,) = drifts_of(settings(RULE), (5.1, {"slow": 1.0}), step_ms=10_000)
    assert 20 <= clear.records <= 26
    assert drifts_of(settings(RULE), (3, {"slow": 1.0}), step_ms=10_000) == []


@pytest.mark.parametrize(
    ("at_most", "tiers"), [("page", {"page"}), ("ticket", {"ticket"}), ("cause", {"cause"}), ("off", set())]
)
def test_the_highest_tier_of_a_rule_caps_its_limits(at_most, tiers):
    drifts = drifts_of(settings({**RULE, "at_most": at_most}), *BREACH)
    assert {drift.tier for drift in drifts} == tiers


def test_a_ticket_and_a_page_can_have_limits_of_their_own():
    limits = [P95 | {"above": 6900.0}, P95 | {"tier": "ticket"}]
    drifts = drifts_of(settings({"signal": "latency_ms", "limits": limits}), *BREACH)
    assert {(drift.tier, drift.normal) for drift in drifts} == {("ticket", 5000.0)}


def test_records_sampled_by_outcome_are_not_compared():
    assert drifts_of(settings(RULE), (30, {"slow": 0.5, "sampled": True})) == []


def test_a_gap_starts_the_window_again_and_leaves_the_breach_open():
    step = prepared(settings(RULE), "bot")
    before = messages(list(records((10, {}), (5, {"slow": 0.5}))))
    outputs = step.step(before) + step.on_gap()
    after = messages(list(records((20, {}), first=15 * MINUTE)))
    outputs += step.step(after)
    drifts = [drift for drift in read_drifts(outputs) if drift.detector == "limit"]
    assert states(drifts) == ["firing", "recovered"]


SUBJECTS = ("eu", "us", "asia", "africa", "pole")
PHASES = ((6, {}), (6, {"slow": 0.3, "toxicity": 0.5}), (14, {}))
RULES = settings(RULE, {"signal": "custom.*", "limits": [{"statistic": "mean", "above": 0.4, "over_s": 120}]})


def test_among_many_streams_and_in_other_batches_each_gets_what_it_gets_by_itself():
    sent = messages(*(list(records(*PHASES, subject=subject, step_ms=500)) for subject in SUBJECTS))
    step = prepared(RULES, *SUBJECTS)
    together = read_drifts(
        [output for start in range(0, len(sent), 900) for output in step.step(sent[start : start + 900])]
    )
    for subject in SUBJECTS:
        alone = prepared(RULES, subject)
        own = messages(list(records(*PHASES, subject=subject, step_ms=500)))
        outputs = [output for start in range(0, len(own), 77) for output in alone.step(own[start : start + 77])]
        assert [drift for drift in together if drift.subject == subject] == read_drifts(outputs)
        assert {drift.channel for drift in read_drifts(outputs)} >= {"limit_p95", "limit_mean"}


@pytest.mark.parametrize("has_baseline", [True, False])
def test_restarts_change_nothing(has_baseline):
    sent = messages(list(records(*PHASES)))
    rules = RULES if has_baseline else RULES.model_copy(update={"ready_after_s": 7200})
    whole = prepared(rules, "bot", has_baseline=has_baseline)
    expected = whole.step(sent)
    step, checkpoint, outputs = prepared(rules, "bot", has_baseline=has_baseline), Checkpoint(), []
    for start in range(0, len(sent), 331):
        outputs += step.step(sent[start : start + 331])
        checkpoint.take(step)
        step = checkpoint.restored(prepared(rules, "bot", has_baseline=has_baseline), random.Random(start))
    assert read_drifts(outputs) == read_drifts(expected)
    assert full_state(step) == full_state(whole)
    assert {drift.channel for drift in read_drifts(outputs)} >= {"limit_p95", "limit_mean"}


@pytest.mark.parametrize(
    "after", [[], [P95 | {"above": 6000.0}], [P95 | {"over_s": 600}], [P95 | {"tier": "ticket"}]], ids=str
)
def test_a_breach_of_a_limit_that_is_no_longer_configured_ends_after_a_restart(after):
    sent = messages(list(records(*BREACH)))
    checkpoint, step = Checkpoint(), prepared(settings(RULE), "bot")
    opened = read_drifts(step.step(sent[: 13 * MINUTE]))
    checkpoint.take(step)
    rules = [{"signal": "latency_ms", "limits": after}] if after else []
    step = prepared(settings(*rules), "bot")
    list(step.restore(list(checkpoint.parts.items())))
    checkpoint.take(step)
    again = prepared(settings(*rules), "bot")
    list(again.restore(list(checkpoint.parts.items())))
    later = read_drifts(again.step(sent[13 * MINUTE :]))
    (drift_id,) = {drift.drift_id for drift in opened if drift.detector == "limit"}
    ended = [drift for drift in later if drift.drift_id == drift_id]
    assert [drift.state for drift in ended] == ["recovered"]
    assert "is no longer configured" in ended[0].sentence
