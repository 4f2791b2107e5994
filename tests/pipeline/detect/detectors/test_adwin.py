from dataclasses import replace

import numpy as np
import pytest

from pipeline.detect.detectors.adwin import AdwinBank, AdwinChannel, TicketBoundary
from pipeline.detect.layout.grid_layout import GridLayout
from pipeline.detect.one_sided_tests.one_sided_test import derive_tests
from pipeline.detect.settings import DetectSettings
from tests.pipeline.detect.grids import grid_of_channels
from tests.pipeline.detect.worlds import learned, normal_world

LOW_TEST, HIGH_TEST = 3, 5
DELTA, RECORDS = 1e-5, 50


def channel(low: float, high: float | None, *, mean: float = 0.5, is_rate: bool = False) -> AdwinChannel:
    above = None if high is None else TicketBoundary(high, HIGH_TEST)
    return AdwinChannel("confidence.location", 1, 0, is_rate, mean, TicketBoundary(low, LOW_TEST), above)


VALUE = channel(0.47, 0.53)


def observe(bank: AdwinBank, channels: np.ndarray) -> list:
    return bank.observe(grid_of_channels(channels, np.arange(channels.shape[0]) // 21))


def feed(bank: AdwinBank, channels: np.ndarray, size: int = 200) -> list:
    channels = channels.reshape(channels.shape[0], -1)
    changes = []
    for begin in range(0, channels.shape[0], size):
        changes += [(begin + change.row, change.is_rise) for change in observe(bank, channels[begin : begin + size])]
    return changes


def test_a_value_without_a_change_is_silent():
    assert feed(AdwinBank([VALUE], DELTA, RECORDS), np.random.default_rng(1).random(200_000)) == []


def test_a_slow_decline_is_found_with_its_direction_and_test():
    random = np.random.default_rng(2)
    ranks = np.clip(random.random(100_000) - np.linspace(0, 0.25, 100_000), 0, 1)
    bank = AdwinBank([VALUE], DELTA, RECORDS)
    changes = [change for begin in range(0, 100_000, 200) for change in observe(bank, ranks[begin : begin + 200, None])]
    assert {(change.is_rise, change.test) for change in changes} == {(False, LOW_TEST)}


def test_a_change_within_the_band_is_ignored():
    random = np.random.default_rng(3)
    ranks = random.normal(0.45, 0.01, 60_000)
    ranks[30_000:] += 0.2
    wide, narrow = (channel(0.4, high) for high in (0.7, 0.6))
    assert feed(AdwinBank([wide], DELTA, RECORDS), ranks) == []
    assert feed(AdwinBank([narrow], DELTA, RECORDS), ranks)


def test_a_change_in_the_good_direction_is_ignored():
    ranks = np.concatenate([np.full(5000, 0.5), np.full(5000, 0.9)])
    assert feed(AdwinBank([channel(0.47, None)], DELTA, RECORDS), ranks) == []


@pytest.mark.parametrize(("mean", "now", "is_rise"), [(0.05, 0.15, True), (0.95, 0.8, False)])
def test_a_rate_is_monitored_by_its_rarer_outcome(mean, now, is_rise):
    random = np.random.default_rng(4)
    rates = np.concatenate([random.random(20_000) < mean, random.random(20_000) < now]).astype(float)
    monitored = channel(mean - 0.02, mean + 0.02, mean=mean, is_rate=True)
    changes = feed(AdwinBank([monitored], DELTA, RECORDS), rates)
    assert changes[0][0] >= 20_000
    assert {direction for _, direction in changes} == {is_rise}


def test_records_without_the_signal_do_not_prevent_detection():
    random = np.random.default_rng(5)
    ranks = np.concatenate([random.random(100_000) * 0.2 + 0.4, random.random(100_000) * 0.2 + 0.7])
    ranks[random.random(200_000) < 0.9] = np.nan
    assert feed(AdwinBank([VALUE], DELTA, RECORDS), ranks)


def test_where_blocks_end_does_not_matter():
    random = np.random.default_rng(6)
    ranks = np.concatenate([random.random(15_000), random.random(15_000) * 0.5 + 0.5])
    ranks[random.random(30_000) < 0.2] = np.nan
    in_one_block = feed(AdwinBank([VALUE], DELTA, RECORDS), ranks, size=30_000)
    assert in_one_block
    for size in (7, 50, 333):
        assert feed(AdwinBank([VALUE], DELTA, RECORDS), ranks, size=size) == in_one_block


def test_a_restored_state_changes_nothing():
    random = np.random.default_rng(7)
    ranks = np.concatenate([random.random(15_000), random.random(15_000) * 0.5 + 0.5])
    uninterrupted, first, second = (AdwinBank([VALUE], DELTA, 60) for _ in range(3))
    expected = feed(uninterrupted, ranks)
    before = feed(first, ranks[:5000])
    second.load(first.dump())
    assert before + [(row + 5000, is_rise) for row, is_rise in feed(second, ranks[5000:])] == expected
    assert expected
    assert second.dump()["windows"] == uninterrupted.dump()["windows"]


def test_unreadable_bytes_are_rejected():
    bank = AdwinBank([VALUE], DELTA, RECORDS)
    with pytest.raises(ValueError, match="river cannot read"):
        bank.load(bank.dump() | {"windows": [b"\x00"]})


def test_a_window_is_restored_by_the_name_of_its_channel():
    first, second = AdwinBank([VALUE], DELTA, RECORDS), AdwinBank([replace(VALUE, name="new"), VALUE], DELTA, RECORDS)
    feed(first, np.full(5020, 0.5))
    second.load(first.dump())
    assert second.dump()["windows"][1] == first.dump()["windows"][0]
    assert second.dump()["windows"][0] == AdwinBank([VALUE], DELTA, RECORDS).dump()["windows"][0]
    assert second.dump()["tallies"][:, 1].tolist() == first.dump()["tallies"][:, 0].tolist()


def test_a_reset_empties_the_window():
    bank = AdwinBank([VALUE], DELTA, RECORDS)
    feed(bank, np.full(5020, 0.5))
    bank.reset()
    assert feed(bank, np.full(5000, 0.9)) == []


def test_a_forgotten_channel_has_an_empty_window_and_the_others_keep_theirs():
    bank = AdwinBank([VALUE, replace(VALUE, channel_column=0)], DELTA, RECORDS)
    empty = bank.dump()["windows"][0]
    feed(bank, np.full(5020, 0.5))
    bank.forget(VALUE.channel_column)
    windows = bank.dump()["windows"]
    assert windows[0] == empty != windows[1]


def test_the_bank_of_the_tests_monitors_each_rate_and_location_with_a_ticket():
    settings = DetectSettings(ready_after_s=600)
    baseline = learned(normal_world(1, 40_000), settings)
    tests, _ = derive_tests(baseline, settings)
    bank = AdwinBank.for_tests(tests, GridLayout(baseline, tests), settings)
    boundaries = [
        boundary for monitored in bank._channels for boundary in (monitored.low, monitored.high) if boundary is not None
    ]
    tickets = {
        index for index, test in enumerate(tests) if test.tier == "ticket" and test.channel in ("rate", "location")
    }
    assert {boundary.test for boundary in boundaries} == tickets
    assert all(boundary.mean == tests[boundary.test].null_boundary for boundary in boundaries)


def test_a_bank_without_channels_is_silent():
    assert observe(AdwinBank([], DELTA, RECORDS), np.zeros((10, 3))) == []
