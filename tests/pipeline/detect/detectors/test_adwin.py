import numpy as np
import pytest

from pipeline.detect.detectors.adwin import AdwinBank, AdwinChannel
from tests.pipeline.detect.grids import grid_of_channels

VALUE = AdwinChannel(column=1, carried=0, rate=False, usual=0.5, low=0.47, high=0.53)
DELTA, RECORDS = 1e-5, 50


def observe(means: AdwinBank, channels: np.ndarray) -> list:
    return means.observe(grid_of_channels(channels, np.arange(channels.shape[0]) // 21))


def feed(means: AdwinBank, channels: np.ndarray, size: int = 200) -> list:
    channels = channels.reshape(channels.shape[0], -1)
    found = []
    for begin in range(0, channels.shape[0], size):
        found += [(begin + change.row, change.rises) for change in observe(means, channels[begin : begin + size])]
    return found


def test_a_quiet_value_is_silent():
    assert feed(AdwinBank([VALUE], DELTA, RECORDS), np.random.default_rng(1).random(200_000)) == []


def test_a_slow_sinking_is_found_and_its_direction_told():
    random = np.random.default_rng(2)
    ranks = np.clip(random.random(100_000) - np.linspace(0, 0.25, 100_000), 0, 1)
    found = feed(AdwinBank([VALUE], DELTA, RECORDS), ranks)
    assert found
    assert {rises for _, rises in found} == {False}


def test_a_change_within_the_band_is_no_news():
    random = np.random.default_rng(3)
    ranks = random.normal(0.45, 0.01, 60_000)
    ranks[30_000:] += 0.2
    wide, narrow = (AdwinChannel(1, 0, rate=False, usual=0.5, low=0.4, high=high) for high in (0.7, 0.6))
    assert feed(AdwinBank([wide], DELTA, RECORDS), ranks) == []
    assert feed(AdwinBank([narrow], DELTA, RECORDS), ranks)


def test_a_change_to_the_better_is_no_news():
    ranks = np.concatenate([np.full(5000, 0.5), np.full(5000, 0.9)])
    assert (
        feed(AdwinBank([AdwinChannel(1, 0, rate=False, usual=0.5, low=0.47, high=None)], DELTA, RECORDS), ranks) == []
    )


@pytest.mark.parametrize(("usual", "now", "rises"), [(0.05, 0.15, True), (0.95, 0.8, False)])
def test_a_rate_is_watched_by_its_rarer_outcome(usual, now, rises):
    random = np.random.default_rng(4)
    rates = np.concatenate([random.random(20_000) < usual, random.random(20_000) < now]).astype(float)
    watched = AdwinChannel(1, 0, rate=True, usual=usual, low=usual - 0.02, high=usual + 0.02)
    found = feed(AdwinBank([watched], DELTA, RECORDS), rates)
    assert found[0][0] >= 20_000
    assert {direction for _, direction in found} == {rises}


def test_records_without_the_signal_do_not_blind_it():
    random = np.random.default_rng(5)
    ranks = np.concatenate([random.random(100_000) * 0.2 + 0.4, random.random(100_000) * 0.2 + 0.7])
    ranks[random.random(200_000) < 0.9] = np.nan
    assert feed(AdwinBank([VALUE], DELTA, RECORDS), ranks)


def test_where_blocks_end_does_not_matter():
    random = np.random.default_rng(6)
    ranks = np.concatenate([random.random(15_000), random.random(15_000) * 0.5 + 0.5])
    ranks[random.random(30_000) < 0.2] = np.nan
    whole = feed(AdwinBank([VALUE], DELTA, RECORDS), ranks, size=30_000)
    assert whole
    for size in (7, 50, 333):
        assert feed(AdwinBank([VALUE], DELTA, RECORDS), ranks, size=size) == whole


def test_state_put_down_and_taken_up_changes_nothing():
    random = np.random.default_rng(7)
    ranks = np.concatenate([random.random(15_000), random.random(15_000) * 0.5 + 0.5])
    whole, first, second = (AdwinBank([VALUE], DELTA, 60) for _ in range(3))
    expected = feed(whole, ranks)
    before = feed(first, ranks[:5000])
    second.load(first.dump())
    assert before + [(row + 5000, rises) for row, rises in feed(second, ranks[5000:])] == expected
    assert expected
    assert second.dump()["windows"] == whole.dump()["windows"]


def test_state_of_other_channels_or_unreadable_bytes_is_refused():
    means = AdwinBank([VALUE], DELTA, RECORDS)
    state = means.dump()
    with pytest.raises(ValueError, match="do not fit 2 channels"):
        AdwinBank([VALUE, VALUE], DELTA, RECORDS).load(state)
    with pytest.raises(ValueError, match="river cannot read"):
        means.load(state | {"windows": [b"\x00"]})


def test_restart_forgets_the_window():
    means = AdwinBank([VALUE], DELTA, RECORDS)
    feed(means, np.full(5020, 0.5))
    means.reset()
    assert feed(means, np.full(5000, 0.9)) == []


def test_nothing_watched_is_silent():
    assert observe(AdwinBank([], DELTA, RECORDS), np.zeros((10, 3))) == []
