"""What was on its way somewhere is no normal; a daily cycle, a quiet day and a replay of minutes are."""

import numpy as np
import pytest

from pipeline.detect.baselines import spread
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.baselines.stationarity import NONSTATIONARY, is_nonstationary, nonstationary_signals
from pipeline.detect.one_sided_tests.one_sided_test import derive_tests
from pipeline.detect.settings import DAY_S, DetectSettings
from tests.pipeline.detect.worlds import blocks

SETTINGS = DetectSettings()
SLICES, COUNT = 84, 500
SLICE_S = DAY_S / SLICES
PLACES = (np.arange(SLICES) + 0.5) / SLICES


def moving(shape, *, seed=1, name="location", settings=SETTINGS, slice_s=SLICE_S, variance=1 / 12):
    means = shape + np.random.default_rng(seed).normal(0, (variance / COUNT) ** 0.5, shape.size)
    slices = spread.SliceMeans(means, np.full(shape.size, float(COUNT)))
    deviation = spread.slice_deviation(slices, variance, 1.0)
    return is_nonstationary(name, slices, settings, slice_s=slice_s, variance=variance, time=1.0, deviation=deviation)


@pytest.mark.parametrize("seed", range(5))
def test_a_step_and_a_steady_move_are_seen_and_a_quiet_day_is_not(seed):
    assert moving(np.where(PLACES < 0.5, 0.45, 0.55), seed=seed)
    assert moving(0.4 + 0.2 * PLACES, seed=seed)
    assert not moving(np.full(SLICES, 0.5), seed=seed)


@pytest.mark.parametrize("phase", np.arange(0, 1, 1 / 12))
def test_a_daily_cycle_is_no_move_at_whatever_hour_the_day_begins(phase):
    for amplitude in (0.05, 0.1, 0.2):
        assert not moving(0.5 + amplitude * np.sin(2 * np.pi * (PLACES + phase)))
        two_days = 0.5 + amplitude * np.sin(2 * np.pi * (2 * PLACES + phase))
        assert not moving(two_days, slice_s=2 * SLICE_S)


def test_a_step_beneath_a_daily_cycle_is_seen():
    cycle = 0.02 * np.sin(2 * np.pi * PLACES)
    assert moving(np.where(PLACES < 0.5, 0.43, 0.57) + cycle)


def test_what_no_ticket_is_for_is_no_move():
    assert not moving(np.where(PLACES < 0.5, 0.49, 0.51), variance=1e-6)
    assert not moving(np.where(PLACES < 0.5, 0.010, 0.012), name="rate", variance=1e-8)
    assert moving(np.where(PLACES < 0.5, 0.010, 0.013), name="rate", variance=1e-8)


def test_minutes_and_replays_that_say_so_are_never_moving():
    step = np.where(PLACES < 0.5, 0.4, 0.6)
    assert not moving(step, slice_s=SLICE_S / 2)
    assert not moving(step, settings=DetectSettings(ready_after_s=1800))


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


def test_a_baseline_names_what_moved_and_does_not_judge_it():
    baseline = learn(*day(1, step_at=0.5)).baseline("live")
    assert nonstationary_signals(baseline) == ["confidence"]
    sides, unjudged = derive_tests(baseline, SETTINGS)
    moved = {(gap.signal.name, gap.channel) for gap in unjudged if gap.reason == NONSTATIONARY}
    assert ("confidence", "location") in moved
    assert ("confidence", "location") not in {(side.signal.name, side.channel) for side in sides}
    assert "refused" in {side.signal.name for side in sides}
    assert nonstationary_signals(learn(*day(1)).baseline("live")) == []


def test_a_learner_waits_longer_once_and_remembers_it():
    learner = learn(*day(2))
    assert learner.ready()
    assert learner.wait_longer()
    assert not learner.ready()
    kept = learner.dump_parts()
    taken_up = Learner("support-bot", SETTINGS)
    for name, part in kept.items():
        taken_up.load_part(name, part)
    for each in (learner, taken_up):
        assert not each.ready()
        assert not each.wait_longer()
    longer = learn(*day(2, days=2.02))
    longer.wait_longer()
    assert longer.ready()
