"""Rules for signals change which drifts the step finds, in every way in which it can find them."""

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
from schemas.baseline import Baseline, Traffic
from schemas.timestamp import format_timestamp
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, full_state, message

BASE = DetectSettings(ready_after_s=600, ready_records=1000, ready_records_rate=1000, segments=("tenant",))
STEP_MS = 100
LEARNED = 8000
SUBJECTS = ("support-eu", "support-us", "search")


def settings(*rules):
    return BASE.model_copy(update={"signals": tuple(SignalRule(**rule) for rule in rules)})


def values_of(subject, count, *, seed, first=0, latency_ms=0.0, errors=0.02, toxicity=0.0, length=1.0):
    """Records of a subject, with shifts of the mean latency and toxicity, another error rate and another mean length."""
    draws = np.random.default_rng([seed, *subject.encode()])
    for number in range(first, first + count):
        yield {
            "subject": subject,
            "request_id": f"r-{number}",
            "timestamp": format_timestamp(START_MS + number * STEP_MS),
            "infrastructure": {
                "latency_ms": float(draws.normal(400, 40)) + latency_ms,
                "error": bool(draws.random() < errors),
            },
            "output": {"length": float(draws.lognormal(6, 0.3)) * length},
            "custom": {"toxicity": float(draws.normal(0.3, 0.05)) + toxicity},
            "segment": {"tenant": ("acme", "bolt", "crane")[number % 3]},
        }


@functools.cache
def baseline_of(subject, rules=()):
    lines = [as_json(values) for values in values_of(subject, LEARNED, seed=1)]
    return learn_history(lines, BASE).baselines[subject].to_json()


def prepared_step(with_settings, *subjects):
    step = DetectStep(0, with_settings, replay=True)
    for subject in subjects:
        step.control(RawMessage(BASELINES, 0, 0, START_MS, subject.encode(), baseline_of(subject)))
    return step


def messages_of(subjects, count, **changes):
    """The records of the subjects in turn: the first third is normal."""
    calm = count // 3
    streams = [
        [
            *values_of(subject, calm, seed=2, first=LEARNED),
            *values_of(subject, count - calm, seed=3, first=LEARNED + calm, **changes),
        ]
        for subject in subjects
    ]
    rows = [values for together in zip(*streams, strict=True) for values in together]
    return [message(offset, as_json(values), START_MS) for offset, values in enumerate(rows)]


def drifts_of(with_settings, *, subjects=("support-eu",), count=6000, batch=256, **changes):
    step = prepared_step(with_settings, *subjects)
    messages = messages_of(subjects, count, **changes)
    outputs = []
    for start in range(0, len(messages), batch):
        outputs += step.step(messages[start : start + batch])
    return read_drifts(outputs)


def fired(drifts, signal, *, subject="support-eu"):
    return {
        (drift.channel, drift.side, drift.tier)
        for drift in drifts
        if drift.state == "firing" and drift.signal == signal and drift.subject == subject
    }


def means_and_tails(drifts, signal):
    return {found for found in fired(drifts, signal) if found[0] != "shape"}


def tiers(drifts, signal, **only):
    return {tier for _, _, tier in fired(drifts, signal, **only)}


def test_without_a_rule_a_rise_of_latency_pages_and_one_of_a_custom_signal_is_a_ticket():
    drifts = drifts_of(BASE, latency_ms=80.0, toxicity=0.1)
    assert ("location", "up", "page") in fired(drifts, "latency_ms")
    assert tiers(drifts, "custom.toxicity") == {"ticket"}


@pytest.mark.parametrize(
    ("at_most", "expected"),
    [("page", {"page", "ticket"}), ("ticket", {"ticket"}), ("cause", {"cause"}), ("off", set())],
)
def test_no_drift_of_a_signal_has_a_higher_tier_than_its_rule_allows(at_most, expected):
    rules = ({"signal": "latency_ms", "at_most": at_most}, {"signal": "custom.*", "at_most": at_most})
    drifts = drifts_of(settings(*rules), latency_ms=80.0, toxicity=0.1, errors=0.2)
    for signal in ("latency_ms", "custom.toxicity"):
        assert tiers(drifts, signal) <= expected
        assert ("location", "up", (*sorted(expected), None)[0]) in {*fired(drifts, signal), ("location", "up", None)}
    assert "page" in tiers(drifts, "error")


def test_only_the_bad_direction_of_a_rule_is_found():
    up = settings({"signal": "custom.*", "bad_direction": "up"})
    down = settings({"signal": "custom.*", "bad_direction": "down"})
    assert ("location", "up", "ticket") in fired(drifts_of(up, toxicity=0.1), "custom.toxicity")
    assert not means_and_tails(drifts_of(down, toxicity=0.1), "custom.toxicity")
    assert ("location", "down", "ticket") in fired(drifts_of(down, toxicity=-0.1), "custom.toxicity")
    falling_latency = settings({"signal": "latency_ms", "bad_direction": "both"})
    assert not means_and_tails(drifts_of(BASE, latency_ms=-80.0), "latency_ms")
    assert ("location", "down", "page") in fired(drifts_of(falling_latency, latency_ms=-80.0), "latency_ms")


def test_a_drift_has_the_failure_mode_and_unit_of_its_rule():
    rule = {"signal": "custom.tox*", "failure_mode": "policy_violations", "unit": "points"}
    drifts = [drift for drift in drifts_of(settings(rule), toxicity=0.1) if drift.signal == "custom.toxicity"]
    assert {(drift.failure_mode, drift.unit) for drift in drifts} == {("policy_violations", "points")}
    assert "points" in drifts[0].sentence


def test_a_rule_applies_to_the_subjects_of_its_pattern_and_the_first_one_decides():
    rules = settings(
        {"subject": "support-eu", "signal": "latency_ms", "at_most": "cause"},
        {"subject": "support-*", "signal": "*", "at_most": "ticket"},
    )
    drifts = drifts_of(rules, subjects=SUBJECTS, latency_ms=80.0)
    assert tiers(drifts, "latency_ms", subject="support-eu") == {"cause"}
    assert tiers(drifts, "latency_ms", subject="support-us") == {"ticket"}
    assert "page" in tiers(drifts, "latency_ms", subject="search")


@pytest.mark.parametrize(
    ("rule", "below", "above"),
    [
        ({"signal": "latency_ms", "smallest_change": 60.0}, {"latency_ms": 45.0}, {"latency_ms": 90.0}),
        ({"signal": "latency_ms", "smallest_relative_change": 0.15}, {"latency_ms": 45.0}, {"latency_ms": 90.0}),
        ({"signal": "latency_ms", "smallest_odds_ratio": 5.0}, {"latency_ms": 35.0}, {"latency_ms": 90.0}),
        ({"signal": "error", "smallest_change": 0.1}, {"errors": 0.09}, {"errors": 0.2}),
        ({"signal": "error", "smallest_relative_change": 4.0}, {"errors": 0.07}, {"errors": 0.2}),
        ({"signal": "error", "smallest_odds_ratio": 6.0}, {"errors": 0.07}, {"errors": 0.3}),
    ],
    ids=lambda value: "-".join(map(str, value)),
)
def test_a_change_below_the_smallest_that_matters_is_no_drift(rule, below, above):
    signal = rule["signal"]
    assert "page" in tiers(drifts_of(BASE, count=9000, **below), signal)
    assert not fired(drifts_of(settings(rule), count=9000, **below), signal)
    assert "page" in tiers(drifts_of(settings(rule), count=9000, **above), signal)


def test_a_smallest_change_leaves_other_signals_equal_to_the_digit():
    rule = {"signal": "latency_ms", "smallest_change": 60.0}
    changes = {"errors": 0.09, "latency_ms": 45.0, "length": 1.5}
    with_rule, without = (
        [drift for drift in drifts_of(each, **changes) if drift.signal != "latency_ms"]
        for each in (settings(rule), BASE)
    )
    assert with_rule == without
    assert with_rule


RULES = settings(
    {"signal": "latency_ms", "smallest_change": 30.0, "at_most": "ticket"},
    {"subject": "support-*", "signal": "custom.*", "bad_direction": "up", "at_most": "page"},
    {"signal": "length", "at_most": "off"},
)
CHANGES = {"latency_ms": 80.0, "toxicity": 0.1, "errors": 0.1, "length": 2.0}


def test_among_many_streams_each_gets_what_it_gets_by_itself():
    together = drifts_of(RULES, subjects=SUBJECTS, batch=1500, **CHANGES)
    for subject in SUBJECTS:
        alone = drifts_of(RULES, subjects=(subject,), batch=97, **CHANGES)
        assert [drift for drift in together if drift.subject == subject] == alone
        assert not fired(alone, "length", subject=subject)


def test_restarts_with_the_same_rules_change_nothing():
    messages = messages_of(("support-eu",), 3000, **CHANGES)
    whole = prepared_step(RULES, "support-eu")
    expected = whole.step(messages)
    step, checkpoint, outputs = prepared_step(RULES, "support-eu"), Checkpoint(), []
    for start in range(0, len(messages), 211):
        outputs += step.step(messages[start : start + 211])
        checkpoint.take(step)
        step = checkpoint.restored(prepared_step(RULES, "support-eu"), random.Random(start))
    assert read_drifts(outputs) == read_drifts(expected)
    assert full_state(step) == full_state(whole)


def restarted(before, after, messages, cut):
    """Drifts before and after a restart with other rules, and the lines of the log."""
    step, checkpoint = prepared_step(before, "support-eu"), Checkpoint()
    outputs = step.step(messages[:cut])
    checkpoint.take(step)
    step = prepared_step(after, "support-eu")
    lines = list(step.restore(list(checkpoint.parts.items())))
    return read_drifts(outputs), read_drifts(step.step(messages[cut:])), lines


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((), ({"signal": "latency_ms", "at_most": "off"},)),
        ((), ({"signal": "latency_ms", "bad_direction": "down"},)),
        ((), ({"signal": "latency_ms", "smallest_change": 100_000.0},)),
        (({"signal": "custom.*", "at_most": "page"},), ()),
    ],
)
def test_a_changed_rule_applies_after_a_restart_and_ends_the_drifts_that_it_excludes(before, after):
    messages = messages_of(("support-eu",), 6000, latency_ms=80.0, toxicity=0.1)
    signal = (*before, *after)[0]["signal"].replace("*", "toxicity")
    opened, later, lines = restarted(settings(*before), settings(*after), messages, 4000)
    pages = {drift.drift_id for drift in opened if drift.signal == signal and drift.tier == "page"}
    assert pages
    ended = {drift.drift_id for drift in later if drift.state == "recovered"}
    assert pages <= ended
    assert "page" not in tiers(later, signal)
    assert any("signals was" in line for line in lines)


def test_other_rules_of_the_same_number_also_reset_the_evidence():
    messages = messages_of(("support-eu",), 600)
    before, after = ({"signal": "error", "at_most": tier} for tier in ("ticket", "cause"))
    assert any(
        "signals has other entries" in line for line in restarted(settings(before), settings(after), messages, 300)[2]
    )


def events_of(with_settings, signal, *, after=None):
    """Drifts of an hour of requests, twenty minutes with a quarter of them, an hour without, and a quarter of an hour with.

    With ``after``, the step restarts with other settings while both events are open.
    """
    traffic = Traffic(requests_per_minute=[60.0] * 24, dispersion=1.0)
    baseline = Baseline.from_json(baseline_of("support-eu")).model_copy(update={"traffic": traffic})

    def started(step_settings):
        step = DetectStep(0, step_settings, replay=True)
        step.control(RawMessage(BASELINES, 0, 0, START_MS, b"key", baseline.to_json()))
        return step

    times = [1000 * second for second in range(3600)] + [3_600_000 + 4000 * number for number in range(300)]
    times += [8_400_000 + 1000 * second for second in range(900)]
    from_ms = START_MS + LEARNED * STEP_MS
    rows = values_of("support-eu", len(times), seed=4, first=LEARNED)
    sent = [
        message(number, as_json(values | {"timestamp": format_timestamp(from_ms + time)}), START_MS)
        for number, (values, time) in enumerate(zip(rows, times, strict=True))
    ]
    cut = {"silence": 3902, "request_rate": 3890}[signal]
    step, checkpoint = started(with_settings), Checkpoint()
    outputs = step.step(sent[:cut])
    if after is not None:
        checkpoint.take(step)
        step = started(after)
        list(step.restore(list(checkpoint.parts.items())))
    outputs += step.step(sent[cut:])
    return [drift for drift in read_drifts(outputs) if drift.signal == signal]


@pytest.mark.parametrize(
    ("signal", "at_most", "expected"),
    [
        ("silence", None, {"page"}),
        ("silence", "ticket", {"ticket"}),
        ("silence", "cause", {"cause"}),
        ("silence", "off", set()),
        ("request_rate", "page", {"ticket"}),
        ("request_rate", "cause", {"cause"}),
        ("request_rate", "off", set()),
    ],
)
def test_a_rule_caps_the_tier_of_silences_and_of_losses_of_requests(signal, at_most, expected):
    rules = [] if at_most is None else [{"signal": signal, "at_most": at_most, "failure_mode": "outage"}]
    drifts = events_of(settings(*rules), signal)
    assert {drift.tier for drift in drifts} == expected
    if rules and expected:
        assert {drift.failure_mode for drift in drifts} == {"outage"}
    states = [drift.state for drift in drifts if drift.state != "evidence"]
    assert states == (["firing", "recovered"] if expected else [])


def test_an_open_loss_of_requests_ends_with_its_own_tier_after_a_rule_has_changed():
    for at_most in ("cause", "off"):
        drifts = events_of(BASE, "request_rate", after=settings({"signal": "request_rate", "at_most": at_most}))
        assert len({drift.drift_id for drift in drifts}) == 1
        assert [drift.state for drift in drifts if drift.state != "evidence"] == ["firing", "recovered"]
