import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.detect.segments.segment_bank import CAP_SHARE, SegmentBank
from pipeline.detect.segments.segment_evidence import EVERY_SECOND_BET, SEGMENT_BETS, SegmentEvidence
from pipeline.detect.segments.segment_sums import group_rows, sum_groups
from tests.pipeline.detect.grids import grid_of_channels
from tests.pipeline.detect.simple_tests import simple_test

RECOVERY = 8.0

TESTS = [
    simple_test(0.015, 0.01),
    simple_test(0.02, 0.01, weight=0.2, threshold=15.0),
    simple_test(0.58, 0.5, binary=False),
    simple_test(0.42, 0.5, binary=False, rising=False, weight=0.5),
]
COLUMNS = np.array([0, 0, 1, 1])
VALUES = 3


def bank_of(tests=TESTS, columns=COLUMNS, slots=VALUES) -> SegmentBank:
    bank = SegmentBank(tests, columns.max() + 1 + columns, columns, RECOVERY)
    for slot in range(slots):
        bank.open_slot(slot)
    return bank


def observe(bank, channels, panes, row_slots, *, times=None, may_fire=lambda _crossing: True):
    """One block; ``row_slots`` is the slot of each row's value, -1 for none."""
    slots = np.unique(row_slots[row_slots >= 0])
    value_indexes = np.where(row_slots < 0, -1, np.searchsorted(slots, row_slots))
    groups = group_rows(panes, [value_indexes], slots.size)
    numbers = grid_of_channels(channels, panes).numbers_by_row(np.arange(2 * channels.shape[1]))
    sums = sum_groups(groups, numbers, bank.segment_evidence.log_bets(numbers))
    return bank.observe(slots, sums, panes * 1000 if times is None else times, may_fire)


def stream(seed: int, rows: int):
    """Two channels with missing values and bursts, panes of random length, and the values of the rows."""
    random = np.random.default_rng(seed)
    channels = np.column_stack([random.random(rows) < 0.012, random.random(rows)]).astype(float)
    begin = int(random.integers(rows // 2))
    channels[begin : begin + 60, 0] = 1.0
    channels[begin : begin + 90, 1] = 0.97
    channels[begin + 100 : begin + 160, 1] = 0.03
    channels[random.random(channels.shape) < 0.1] = np.nan
    panes = 1000 + np.cumsum(random.random(rows) < random.choice([0.02, 0.1, 0.8]))
    return channels, panes, random.choice([-1, 0, 1, 2], rows, p=[0.1, 0.6, 0.2, 0.1])


class Oracle:
    """The recursion record by record for one value, evaluated at the end of a pane or block."""

    def __init__(self):
        self.statistics = np.zeros((SEGMENT_BETS, len(TESTS)))
        self.bases = self.statistics.copy()
        self.pane = None

    def block(self, channels, panes):
        for pane in dict.fromkeys(panes.tolist()):
            if pane != self.pane:
                self.pane, self.bases = pane, self.statistics.copy()
            for index, test in enumerate(TESTS):
                values = channels[panes == pane, COLUMNS[index]]
                for bet, stake in enumerate(test.stakes[EVERY_SECOND_BET]):
                    pending = sum(
                        math.log(1 + stake * (x - test.null_boundary)) * test.weight
                        for x in values
                        if not math.isnan(x)
                    )
                    cap = self.bases[bet, index] + test.threshold * CAP_SHARE
                    self.statistics[bet, index] = max(0.0, min(self.statistics[bet, index] + pending, cap))


@pytest.mark.parametrize("seed", range(8))
def test_statistics_of_each_value_equal_a_plain_recursion_with_the_cap_and_missing_values(seed):
    bank, oracles = bank_of(), [Oracle() for _ in range(VALUES)]
    channels, panes, row_slots = stream(seed, 900)
    random = np.random.default_rng(seed)
    begin, highest = 0, 0.0
    while begin < len(panes):
        end = begin + int(random.integers(1, 130))
        part = slice(begin, end)
        if (row_slots[part] >= 0).any():
            observe(bank, channels[part], panes[part], row_slots[part])
        for value, oracle in enumerate(oracles):
            rows = row_slots[part] == value
            oracle.block(channels[part][rows], panes[part][rows])
            np.testing.assert_allclose(bank.test_statistics[value], oracle.statistics, rtol=0, atol=1e-4)
        highest = max(highest, bank.test_statistics.max())
        begin = end
    assert highest > 5


def test_a_value_does_not_depend_on_the_others():
    alone, among = bank_of(), bank_of()
    channels, panes, _ = stream(3, 600)
    row_slots = np.random.default_rng(3).integers(0, 2, 600)
    noisy = channels.copy()
    noisy[row_slots == 1] = 1.0
    observe(alone, channels[row_slots == 0], panes[row_slots == 0], row_slots[row_slots == 0])
    observe(among, noisy, panes, row_slots)
    np.testing.assert_allclose(among.test_statistics[0], alone.test_statistics[0], atol=1e-4)
    assert not alone.test_statistics[1].any()


def test_a_storm_within_one_pane_does_not_fire_and_five_panes_do():
    bank = bank_of([TESTS[0]], np.array([0]), 1)
    fired_in = [
        pane for pane in range(7) if observe(bank, np.ones((400, 1)), np.full(400, pane), np.zeros(400, dtype=int))
    ]
    assert fired_in[0] == 4


def test_the_cap_applies_across_the_blocks_of_one_pane():
    bank = bank_of([TESTS[0]], np.array([0]), 1)
    for _ in range(10):
        assert observe(bank, np.ones((400, 1)), np.full(400, 7), np.zeros(400, dtype=int)) == []
    assert bank.test_statistics.max() == pytest.approx(TESTS[0].threshold * CAP_SHARE)


def broken(rate: float, rows: int, start: int, seed: int):
    """Rows of two values, 10 per pane each, the second with a rate of refusals from a row onwards."""
    random = np.random.default_rng(seed)
    row_slots = np.tile([0, 1], rows // 2)
    bad = (row_slots == 1) & (np.arange(rows) >= start)
    refused = (random.random(rows) < np.where(bad, rate, 0.01)).astype(float)
    return np.column_stack([refused, random.random(rows)]), np.arange(rows) // 20, row_slots


@pytest.mark.parametrize("size", [60, 200, 512])
def test_only_the_broken_value_fires_with_its_start_and_its_records(size):
    bank = bank_of(slots=2)
    channels, panes, row_slots = broken(0.3, 2000, 1000, seed=4)
    crossings = []
    for begin in range(0, 2000, size):
        part = slice(begin, begin + size)
        crossings = observe(bank, channels[part], panes[part], row_slots[part])
        if crossings:
            break
    first = crossings[0]
    assert {crossing.value for crossing in crossings} == {1}
    assert first.test == 0
    assert 48_000 <= first.started_at <= 52_000
    fired_pane = panes[begin] + first.step
    rows = (
        (row_slots == 1) & (panes * 1000 >= first.started_at) & (panes <= fired_pane) & (np.arange(2000) < begin + size)
    )
    assert first.tally == (np.count_nonzero(rows), channels[rows, 0].sum())
    assert first.evidence >= TESTS[0].threshold


def test_a_test_that_may_not_fire_yet_fires_as_soon_as_it_may():
    bank = bank_of([TESTS[0]], np.array([0]), 1)
    fired = []
    for pane in range(30):
        crossings = observe(
            bank, np.ones((1, 1)), np.array([pane]), np.array([0]), may_fire=lambda crossing: crossing.tally[0] >= 20
        )
        fired += [(pane, crossing.tally) for crossing in crossings]
    assert fired[0] == (19, (20.0, 20.0))


@pytest.mark.parametrize("index", [0, 2, 3])
def test_a_latched_test_recovers_once_the_value_is_back_and_not_before(index):
    test = TESTS[index]
    bank = bank_of([test], np.array([0]), 1)
    random = np.random.default_rng(5)
    healthy = (lambda: (random.random((50, 1)) < 0.01).astype(float)) if index == 0 else lambda: random.random((50, 1))
    bank.latch(0, 0, 0.3 if index == 0 else 0.9 if test.rising else 0.1)
    worst = np.full((50, 1), 1.0 if test.rising else 0.0)
    for pane in range(20):
        assert observe(bank, worst, np.full(50, pane), np.zeros(50, dtype=int)) == []
    recovered = [pane for pane in range(20, 80) if observe(bank, healthy(), np.full(50, pane), np.zeros(50, dtype=int))]
    assert recovered
    assert recovered[0] < 50


def test_an_excluded_test_never_fires_until_its_slot_is_opened_again():
    bank = bank_of([TESTS[0], TESTS[2]], np.array([0, 1]), 1)
    bank.exclude(0, 0)
    bank.exclude(0, 1)
    channels = np.ones((40, 2))
    for pane in range(10):
        assert observe(bank, channels, np.full(40, pane), np.zeros(40, dtype=int)) == []
    assert not bank.test_statistics.any()
    bank.open_slot(0)
    assert any(observe(bank, channels, np.full(40, pane), np.zeros(40, dtype=int)) for pane in range(10, 20))


def test_a_bank_of_rates_needs_no_other_channels():
    bank = bank_of(TESTS[:2], COLUMNS[:2])
    channels, panes, row_slots = stream(1, 300)
    observe(bank, channels[:, :1].repeat(2, axis=1), panes, row_slots)
    assert bank.test_statistics.any()


def test_a_restored_state_changes_nothing():
    channels, panes, row_slots = stream(1, 900)
    uninterrupted, restored, state = bank_of(), bank_of(slots=0), {}
    for begin in range(0, 900, 150):
        part = slice(begin, begin + 150)
        crossings = observe(uninterrupted, channels[part], panes[part], row_slots[part])
        if begin == 450:
            restored.load(state)
        if begin >= 450:
            assert observe(restored, channels[part], panes[part], row_slots[part]) == crossings
        for bank in (uninterrupted, restored)[: 1 + (begin >= 450)]:
            for crossing in crossings:
                slots = np.unique(row_slots[part][row_slots[part] >= 0])
                bank.latch(int(slots[crossing.value]), crossing.test, 0.5)
        state = uninterrupted.dump()
    for name, stored in uninterrupted.dump().items():
        np.testing.assert_array_equal(restored.dump()[name], stored)
    assert uninterrupted.latched.any()


def test_a_dump_is_not_changed_by_later_blocks():
    bank = bank_of()
    state = bank.dump()
    observe(bank, *stream(4, 300))
    assert not state["statistics"].any()


def test_state_of_other_tests_is_rejected():
    with pytest.raises(ValueError, match="tests have changed"):
        bank_of(TESTS[:2], COLUMNS[:2]).load(bank_of().dump())


def test_a_reset_clears_the_statistics_but_not_latches_or_exclusions():
    bank = bank_of()
    observe(bank, *stream(1, 300))
    bank.latch(0, 2, 0.9)
    bank.exclude(1, 0)
    bank.reset()
    assert not bank.test_statistics.any()
    assert np.argwhere(bank.latched).tolist() == [[0, 2]]
    assert np.argwhere(bank.excluded).tolist() == [[1, 0]]


def test_records_far_apart_have_more_evidence_in_an_autocorrelated_signal():
    autocorrelated = [replace(test, weight=1 / 8) for test in TESTS]
    evidence = SegmentEvidence(autocorrelated, np.stack([COLUMNS, COLUMNS.max() + 1 + COLUMNS]))
    panes = np.zeros(40, dtype=np.int64)
    groups = group_rows(panes, [np.zeros(40, dtype=np.int64)], 1)
    numbers = np.ones((40, 2 * int(COLUMNS.max() + 1)))
    sums = sum_groups(groups, numbers, evidence.log_bets(numbers))
    slots = np.zeros(1, dtype=np.intp)
    close, apart = (evidence.pane_evidence(slots, sums, np.array([density])) for density in (1.0, 0.0))
    np.testing.assert_allclose(apart, 8 * close)
    half = evidence.pane_evidence(slots, sums, np.array([0.5]))
    np.testing.assert_allclose(half, close * 8 / (1 + 7 * 0.5))
