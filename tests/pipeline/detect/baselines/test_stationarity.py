"""A step or a trend is not stationary. A daily cycle, a steady day and a short replay are."""

import numpy as np
import pytest

from pipeline.detect.baselines import spread
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.baselines.stationarity import is_nonstationary, nonstationary_signals
from pipeline.detect.one_sided_tests.one_sided_test import NONSTATIONARY, derive_tests
from pipeline.detect.settings import DAY_S, DetectSettings
from tests.pipeline.detect.worlds import blocks

SETTINGS = DetectSettings()
SLICES, COUNT = 84, 500
SLICE_S = DAY_S / SLICES
POSITIONS = (np.arange(SLICES) + 0.5) / SLICES


def nonstationary(shape, *, seed=1, name="location", settings=SETTINGS, slice_s=SLICE_S, variance=1 / 12):
    means = shape + np.random.default_rng(seed).normal(0, (variance / COUNT) ** 0.5, shape.size)
    slices = spread.SliceMeans(means, np.full(shape.size, float(COUNT)))
    deviation = spread.slice_deviation(slices, variance, 1.0)
    return is_nonstationary(name, slices, settings, slice_s=slice_s, variance=variance, time=1.0, deviation=deviation)


@pytest.mark.parametrize("seed", range(5))
def test_a_step_and_a_trend_are_detected_and_a_steady_day_is_not(seed):
    assert nonstationary(np.where(POSITIONS < 0.5, 0.45, 0.55), seed=seed)
    assert nonstationary(0.4 + 0.2 * POSITIONS, seed=seed)
    assert not nonstationary(np.full(SLICES, 0.5), seed=seed)


@pytest.mark.parametrize("phase", np.arange(0, 1, 1 / 12))
def test_a_daily_cycle_is_stationary_at_any_phase(phase):
    for amplitude in (0.05, 0.1, 0.2):
        assert not nonstationary(0.5 + amplitude * np.sin(2 * np.pi * (POSITIONS + phase)))
        two_days = 0.5 + amplitude * np.sin(2 * np.pi * (2 * POSITIONS + phase))
        assert not nonstationary(two_days, slice_s=2 * SLICE_S)


def test_a_step_beneath_a_daily_cycle_is_detected():
    cycle = 0.02 * np.sin(2 * np.pi * POSITIONS)
    assert nonstationary(np.where(POSITIONS < 0.5, 0.43, 0.57) + cycle)


def test_a_step_within_the_ticket_tolerance_is_stationary():
    assert not nonstationary(np.where(POSITIONS < 0.5, 0.49, 0.51), variance=1e-6)
    assert not nonstationary(np.where(POSITIONS < 0.5, 0.010, 0.012), name="rate", variance=1e-8)
    assert nonstationary(np.where(POSITIONS < 0.5, 0.010, 0.013), name="rate", variance=1e-8)


def test_less_than_a_day_and_short_replays_count_as_stationary():
    step = np.where(POSITIONS < 0.5, 0.4, 0.6)
    assert not nonstationary(step, slice_s=SLICE_S / 2)
    assert not nonstationary(step, settings=DetectSettings(ready_after_s=1800))


def day(seed, days=1.02, per_s=0.2, *, step_at=None):
    rows = round(days * DAY_S * per_s)
    rng = np.random.default_rng(seed)
    confidence = rng.beta(8, 2, rows)
    if step_at is not None:
        confidence[round(step_at * DAY_S * per_s) :] *= 0.75
    return {"confidence": confidence, "refused": (rng.random(rows) < 0.01).astype(float)}, per_s


def learn(columns, per_s, settings=SETTINGS):
    learner = Learner("support-bot", settings)
    for part in blocks(columns, per_s=per_s):
        learner.observe(part)
    return learner


def test_a_nonstationary_signal_is_listed_and_not_testable():
    baseline = learn(*day(1, step_at=0.5)).baseline("live")
    assert nonstationary_signals(baseline) == ["confidence"]
    tests, not_testable = derive_tests(baseline, SETTINGS)
    nonstationary_channels = {
        (skipped.signal.name, skipped.channel) for skipped in not_testable if skipped.reason == NONSTATIONARY
    }
    assert ("confidence", "location") in nonstationary_channels
    assert ("confidence", "location") not in {(test.signal.name, test.channel) for test in tests}
    assert "refused" in {test.signal.name for test in tests}
    assert nonstationary_signals(learn(*day(1)).baseline("live")) == []


def test_a_learner_extends_its_learning_once_and_restores_that():
    learner = learn(*day(2))
    assert learner.is_ready()
    assert learner.extend_learning()
    assert not learner.is_ready()
    dumped = learner.dump_parts()
    restored = Learner("support-bot", SETTINGS)
    for name, part in dumped.items():
        restored.load_part(name, part)
    for extended in (learner, restored):
        assert not extended.is_ready()
        assert not extended.extend_learning()
    longer = learn(*day(2, days=2.02))
    longer.extend_learning()
    assert longer.is_ready()
