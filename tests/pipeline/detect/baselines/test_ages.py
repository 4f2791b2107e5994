"""The longest age and the resets that a learner finds."""

import numpy as np
import pytest

from pipeline.detect.baselines.baseline import baseline_version
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.baselines.quarters import AgeHistory
from pipeline.detect.settings import DetectSettings
from tests.pipeline.detect.aged_worlds import DAY_S, HOUR_S, NOON_S, age_blocks, ages_at, learn_ages, nightly
from tests.pipeline.detect.worlds import BY_NAME, with_signals

SETTINGS = DetectSettings(ready_records=1000, ready_records_rate=500)


def cycles_of(resets, until_s, *, every_s=30.0, **world):
    return learn_ages(resets, until_s, SETTINGS, every_s=every_s, **world).signals["index_age_s"].ages


def test_one_day_with_a_nightly_reset_knows_one_cycle():
    cycles = cycles_of([NOON_S - 10 * HOUR_S, NOON_S + 14 * HOUR_S], NOON_S + DAY_S)
    assert cycles.longest == pytest.approx(DAY_S, abs=30)
    assert (cycles.resets, cycles.deviation) == (1, None)
    assert cycles.mean == cycles.longest


def test_an_age_that_only_grows_was_never_reset():
    cycles = cycles_of([NOON_S - 10 * HOUR_S], NOON_S + 2 * DAY_S)
    assert (cycles.longest, cycles.resets, cycles.mean) == (pytest.approx(58 * HOUR_S, abs=30), 0, None)


def test_an_age_that_was_reset_just_before_the_first_record_and_only_grows_was_never_reset():
    assert cycles_of([NOON_S - 60], NOON_S + DAY_S).resets == 0


def test_irregular_resets_are_counted_with_their_spread():
    lengths_h = np.array([20.0, 30.0, 9.0, 41.0, 22.0, 28.0])
    resets = NOON_S - HOUR_S + HOUR_S * np.concatenate([[0.0], lengths_h.cumsum()])
    cycles = cycles_of(resets.tolist(), resets[-1] + 12 * HOUR_S)
    assert cycles.longest == pytest.approx(41 * HOUR_S, abs=60)
    assert cycles.resets == 6
    assert cycles.mean == pytest.approx(25 * HOUR_S, rel=0.01)
    assert cycles.deviation == pytest.approx(np.std(lengths_h, ddof=1) * HOUR_S, rel=0.01)


def test_weekly_resets_are_cycles_of_a_week():
    cycles = cycles_of([NOON_S - DAY_S + week * 7 * DAY_S for week in range(5)], NOON_S + 28 * DAY_S, every_s=120.0)
    assert (cycles.resets, cycles.longest) == (4, pytest.approx(7 * DAY_S, abs=120))


def test_resets_more_often_than_a_quarter_of_a_slice_are_resets():
    cycles = cycles_of((NOON_S - 30 + 60.0 * np.arange(1441)).tolist(), NOON_S + DAY_S, every_s=7.0)
    assert cycles.resets > 100
    assert cycles.longest == pytest.approx(60.0, abs=7)


def test_ages_without_order_are_renewed_after_the_longest_of_them():
    random = np.random.default_rng(1)
    cycles = learn_ages([], NOON_S + DAY_S, SETTINGS, change=lambda ages, _: random.uniform(0, 3600, ages.size))
    ages = cycles.signals["index_age_s"].ages
    assert 12 <= ages.resets <= 24
    assert 3500 < ages.longest < 3600


def test_an_older_index_beside_a_nightly_one_was_never_reset():
    def beside(ages, times_s):
        return np.where(np.arange(ages.size) % 3 == 0, times_s - (NOON_S - 40 * DAY_S), ages)

    cycles = cycles_of(nightly(3), NOON_S + 2 * DAY_S, change=beside)
    assert (cycles.resets, cycles.longest) == (0, pytest.approx(42 * DAY_S, abs=120))


def test_records_that_arrive_late_and_clocks_that_differ_are_no_resets():
    random = np.random.default_rng(2)
    lagging = learn_ages(
        [NOON_S - 10 * HOUR_S],
        NOON_S + DAY_S,
        SETTINGS,
        change=lambda ages, _: ages + random.normal(0.0, 2.0, ages.size),
        lag_s=lambda count: np.where(random.random(count) < 0.2, random.uniform(0, 1800, count), 0.0),
    )
    assert lagging.signals["index_age_s"].ages.resets == 0


def test_the_ages_of_a_slice_that_is_dropped_are_not_known():
    def outage(times_s):
        return ((times_s > NOON_S + 6 * HOUR_S) & (times_s < NOON_S + 7 * HOUR_S)).astype(float)

    def too_old(ages, times_s):
        return ages + 100 * HOUR_S * ((times_s > NOON_S + 6.3 * HOUR_S) & (times_s < NOON_S + 6.7 * HOUR_S))

    baseline = learn_ages(nightly(2), NOON_S + DAY_S, SETTINGS, change=too_old, error=outage)
    assert baseline.dropped_slices
    assert baseline.signals["index_age_s"].ages.longest == pytest.approx(DAY_S, abs=30)


def test_the_exact_maximum_counts_although_few_values_are_stored():
    def once(ages, _):
        ages[1777] += 12_345.25
        return ages

    plain, longest = (cycles_of(nightly(2), NOON_S + DAY_S, every_s=3.0, **world) for world in ({}, {"change": once}))
    age = ages_at(np.array([NOON_S + 1777 * 3.0]), nightly(2))[0]
    assert longest.longest == max(plain.longest, age + 12_345.25)


def test_a_widened_learner_knows_what_one_that_was_wide_from_the_start_knows(monkeypatch):
    narrow = learn_ages(nightly(4), NOON_S + 3 * DAY_S, SETTINGS)
    monkeypatch.setattr("pipeline.detect.baselines.learner.FIRST_WIDTH_MS", 4_096_000)
    assert learn_ages(nightly(4), NOON_S + 3 * DAY_S, SETTINGS) == narrow


def test_parts_restored_in_any_order_know_the_same_ages():
    learner, restored, dumped = Learner("bot", SETTINGS), Learner("bot", SETTINGS), {}
    parts = list(age_blocks(nightly(3), NOON_S + 2 * DAY_S))
    for index, part in enumerate(parts[: len(parts) // 2]):
        learner.observe(part)
        if index % 3 == 0:
            dumped |= learner.dump_parts()
    dumped |= learner.dump_parts()
    for name in sorted(dumped, reverse=True):
        restored.load_part(name, dumped[name])
    for part in parts[len(parts) // 2 :]:
        learner.observe(part)
        restored.observe(part)
    baseline = learner.baseline("live")
    assert baseline.signals["index_age_s"].ages.resets == 2
    assert restored.baseline("live") == baseline


def test_a_learner_of_an_earlier_version_does_not_know_the_longest_age():
    learner, restored = Learner("bot", SETTINGS), Learner("bot", SETTINGS)
    parts = list(age_blocks(nightly(3), NOON_S + 2 * DAY_S))
    for part in parts[:-20]:
        learner.observe(part)
    for name, part in learner.dump_parts().items():
        restored.load_part(name, {key: value for key, value in part.items() if key not in ("ages", "has_ages")})
    for part in parts[-20:]:
        restored.observe(part)
    signal = restored.baseline("live").signals["index_age_s"]
    assert signal.ages is None
    assert "overdue" not in signal.channels
    again = Learner("bot", SETTINGS)
    for name, part in restored.dump_parts().items():
        again.load_part(name, part)
    assert again.baseline("live") == restored.baseline("live")


def test_the_state_of_a_learner_without_ages_has_no_ages():
    learner = Learner("bot", SETTINGS)
    for part in age_blocks([], NOON_S + HOUR_S):
        learner.observe(with_signals(part, [BY_NAME["queue_depth"], *part.signals[1:]]))
    assert not any("ages" in part for part in learner.dump_parts().values())


def test_the_version_covers_the_ages():
    baseline = learn_ages(nightly(2), NOON_S + DAY_S, SETTINGS)
    signal = baseline.signals["index_age_s"]
    longer = signal.model_copy(update={"ages": signal.ages.model_copy(update={"longest": 90_000.0})})
    changed = baseline.model_copy(update={"signals": baseline.signals | {"index_age_s": longer}})
    assert baseline_version(baseline) == baseline.baseline_version != baseline_version(changed)


def test_the_second_of_two_ages_may_appear_later():
    history = AgeHistory(4)
    times_ms = np.array([1_000_000, 1_001_000])
    history.add_rows(0, 0, np.array([[5.0], [6.0]]), times_ms)
    history.add_rows(0, 0, np.array([[7.0, np.nan], [np.nan, 3.0]]), times_ms)
    first, second = (history.find_quarters(age, 0, 4000) for age in range(2))
    assert (first.largest.tolist(), first.origins_s.tolist()) == ([7.0], [993.0])
    assert (second.largest.tolist(), second.origins_s.tolist()) == ([3.0], [998.0])
