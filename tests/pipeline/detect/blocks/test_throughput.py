import numpy as np
import pytest

from pipeline.detect.blocks.throughput import HISTORY_MIN, Throughput


def panes_of(per_s, seconds, *, seed=1, start=1000):
    """Panes of records: of a Poisson stream at a rate, or at one for each second."""
    counts = np.random.default_rng(seed).poisson(per_s, seconds)
    return np.repeat(np.arange(start, start + seconds), counts)


def told(throughput, panes, first=None):
    column = np.full(panes.size, np.nan)
    throughput.fill(column, panes, np.ones(panes.size, dtype=bool) if first is None else first)
    return column


def known(column):
    return column[~np.isnan(column)]


def test_steady_traffic_is_about_one_and_told_every_ten_seconds():
    found = known(told(Throughput(), panes_of(20, 3600)))
    assert found.size == 3600 // 10 - 1 - HISTORY_MIN
    assert found.mean() == pytest.approx(1, abs=0.01)
    assert found.std() < 0.1


def test_the_value_stands_on_the_first_record_after_its_ten_seconds():
    panes = panes_of(20, 600)
    rows = np.flatnonzero(~np.isnan(told(Throughput(), panes)))
    assert (panes[rows] % 10 == 0).all()
    assert (panes[rows - 1] % 10 == 9).all()


def test_half_the_traffic_shows_at_once_and_is_usual_ten_minutes_later():
    panes = np.concatenate([panes_of(20, 1200), panes_of(10, 1200, start=2200)])
    found = known(told(Throughput(), panes))
    assert found[90:95].mean() == pytest.approx(0.5, abs=0.1)
    assert found[-20:].mean() == pytest.approx(1, abs=0.1)


def test_a_daily_cycle_moves_it_little():
    seconds = np.arange(86_400)
    found = known(told(Throughput(), panes_of(20 * (1 + 0.6 * np.sin(seconds * 2 * np.pi / 86_400)), 86_400)))
    assert np.quantile(found, 0.001) > 0.6
    hourly = np.array([part.mean() for part in np.array_split(found, 48)])
    assert hourly.min() > 0.95


def test_a_gap_is_one_observation():
    panes = np.concatenate([panes_of(20, 1000), panes_of(20, 1000, start=2600)])
    found = known(told(Throughput(), panes))
    assert np.count_nonzero(found < 0.6) == 1


def test_late_outcomes_are_no_requests():
    panes = panes_of(20, 1000)
    doubled, first = np.repeat(panes, 2), np.tile([True, False], panes.size)
    np.testing.assert_array_equal(known(told(Throughput(), doubled, first)), known(told(Throughput(), panes)))


def test_a_subject_that_rarely_sends_is_compared_with_itself():
    found = known(told(Throughput(), np.arange(0, 400 * 3600, 3600)))
    assert np.allclose(found, 1)


def test_no_record_tells_nothing():
    assert told(Throughput(), np.empty(0, dtype=np.int64)).size == 0


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_batches_and_a_state_taken_up_change_nothing(size):
    panes = np.concatenate([panes_of(8, 700), panes_of(2, 300, start=1800)])
    whole = Throughput()
    expected = told(whole, panes)
    kept, parts = Throughput(), []
    for start in range(0, panes.size, size):
        parts.append(told(kept, panes[start : start + size]))
        taken_up = Throughput()
        taken_up.load(kept.dump())
        kept = taken_up
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert kept.dump() == whole.dump()
