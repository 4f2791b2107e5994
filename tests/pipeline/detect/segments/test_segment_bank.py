import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.detect.layout.grid import numbers_by_row
from pipeline.detect.segments.segment_bank import CAP_SHARE, SegmentBank
from pipeline.detect.segments.segment_steps import BETS, EVERY, SegmentEvidence
from pipeline.detect.segments.segment_sums import group_rows, sum_groups
from tests.pipeline.detect.grids import grid_of_channels
from tests.pipeline.detect.sides import side

RECOVERY = 8.0


SIDES = [
    side(0.015, 0.01),
    side(0.02, 0.01, weight=0.2, threshold=15.0),
    side(0.58, 0.5, binary=False),
    side(0.42, 0.5, binary=False, rising=False, weight=0.5),
]
COLUMNS = np.array([0, 0, 1, 1])
VALUES = 3


def bank_of(sides=SIDES, columns=COLUMNS, slots=VALUES) -> SegmentBank:
    bank = SegmentBank(sides, columns.max() + 1 + columns, columns, RECOVERY)
    for slot in range(slots):
        bank.clear(slot)
    return bank


def walk(bank, channels, panes, place, *, times=None, may_fire=lambda _side, _records: True):
    """One block; ``place`` is the slot of each row's value, -1 for none."""
    slots = np.unique(place[place >= 0])
    parts = group_rows(panes, [np.where(place < 0, -1, np.searchsorted(slots, place))], slots.size)
    numbers = numbers_by_row(grid_of_channels(channels, panes), np.arange(2 * channels.shape[1]))
    sums = sum_groups(parts, numbers, bank.steps.scores(numbers))
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
    """The recursion record by record for one value, looked at where a pane or the block ends."""

    def __init__(self):
        self.walks = np.zeros((BETS, len(SIDES)))
        self.bases = self.walks.copy()
        self.pane = None

    def block(self, channels, panes):
        for pane in dict.fromkeys(panes.tolist()):
            if pane != self.pane:
                self.pane, self.bases = pane, self.walks.copy()
            for index, own in enumerate(SIDES):
                values = channels[panes == pane, COLUMNS[index]]
                for bet, stake in enumerate(own.stakes[EVERY]):
                    pending = sum(
                        math.log(1 + stake * (x - own.null_boundary)) * own.weight for x in values if not math.isnan(x)
                    )
                    cap = self.bases[bet, index] + own.threshold * CAP_SHARE
                    self.walks[bet, index] = max(0.0, min(self.walks[bet, index] + pending, cap))


@pytest.mark.parametrize("seed", range(8))
def test_walks_of_each_value_equal_a_plain_recursion_with_the_cap_and_missing_values(seed):
    bank, oracles = bank_of(), [Oracle() for _ in range(VALUES)]
    channels, panes, place = stream(seed, 900)
    random = np.random.default_rng(seed)
    begin, highest = 0, 0.0
    while begin < len(panes):
        end = begin + int(random.integers(1, 130))
        part = slice(begin, end)
        if (place[part] >= 0).any():
            walk(bank, channels[part], panes[part], place[part])
        for value, oracle in enumerate(oracles):
            own = place[part] == value
            oracle.block(channels[part][own], panes[part][own])
            np.testing.assert_allclose(bank.test_statistics[value], oracle.walks, rtol=0, atol=1e-4)
        highest = max(highest, bank.test_statistics.max())
        begin = end
    assert highest > 5


def test_a_value_does_not_notice_what_the_others_do():
    alone, among = bank_of(), bank_of()
    channels, panes, _ = stream(3, 600)
    place = np.random.default_rng(3).integers(0, 2, 600)
    noisy = channels.copy()
    noisy[place == 1] = 1.0
    walk(alone, channels[place == 0], panes[place == 0], place[place == 0])
    walk(among, noisy, panes, place)
    np.testing.assert_allclose(among.test_statistics[0], alone.test_statistics[0], atol=1e-4)
    assert not alone.test_statistics[1].any()


def test_a_storm_within_one_pane_is_one_event_and_five_panes_fire():
    bank = bank_of([SIDES[0]], np.array([0]), 1)
    fired_in = [
        pane for pane in range(7) if walk(bank, np.ones((400, 1)), np.full(400, pane), np.zeros(400, dtype=int))
    ]
    assert fired_in[0] == 4


def test_the_cap_holds_across_the_blocks_of_one_pane():
    bank = bank_of([SIDES[0]], np.array([0]), 1)
    for _ in range(10):
        assert walk(bank, np.ones((400, 1)), np.full(400, 7), np.zeros(400, dtype=int)) == []
    assert bank.test_statistics.max() == pytest.approx(SIDES[0].threshold * CAP_SHARE)


def broken(rate: float, rows: int, start: int, seed: int):
    """Rows of two values, 10 a pane each, of which the second has a rate of refusals from a row on."""
    random = np.random.default_rng(seed)
    place = np.tile([0, 1], rows // 2)
    bad = (place == 1) & (np.arange(rows) >= start)
    refused = (random.random(rows) < np.where(bad, rate, 0.01)).astype(float)
    return np.column_stack([refused, random.random(rows)]), np.arange(rows) // 20, place


@pytest.mark.parametrize("size", [60, 200, 512])
def test_only_the_value_that_broke_fires_with_its_start_and_its_own_records(size):
    bank = bank_of(slots=2)
    channels, panes, place = broken(0.3, 2000, 1000, seed=4)
    crossings = []
    for begin in range(0, 2000, size):
        part = slice(begin, begin + size)
        crossings = walk(bank, channels[part], panes[part], place[part])
        if crossings:
            break
    first = crossings[0]
    assert {crossing.value for crossing in crossings} == {1}
    assert first.side == 0
    assert 48_000 <= first.started_at <= 52_000
    fired_pane = panes[begin] + first.pane
    rows = (place == 1) & (panes * 1000 >= first.started_at) & (panes <= fired_pane) & (np.arange(2000) < begin + size)
    assert first.tally == (np.count_nonzero(rows), channels[rows, 0].sum())
    assert first.evidence >= SIDES[0].threshold


def test_a_side_that_may_not_fire_yet_waits_and_fires_as_soon_as_it_may():
    bank = bank_of([SIDES[0]], np.array([0]), 1)
    seen = []
    for pane in range(30):
        found = walk(
            bank, np.ones((1, 1)), np.array([pane]), np.array([0]), may_fire=lambda _side, records: records >= 20
        )
        seen += [(pane, crossing.tally) for crossing in found]
    assert seen[0] == (19, (20.0, 20.0))


@pytest.mark.parametrize("index", [0, 2, 3])
def test_a_latched_side_recovers_once_it_is_back_and_not_before(index):
    own = SIDES[index]
    bank = bank_of([own], np.array([0]), 1)
    random = np.random.default_rng(5)
    healthy = (lambda: (random.random((50, 1)) < 0.01).astype(float)) if index == 0 else lambda: random.random((50, 1))
    bank.latch(0, 0, 0.3 if index == 0 else 0.9 if own.rising else 0.1)
    worst = np.full((50, 1), 1.0 if own.rising else 0.0)
    for pane in range(20):
        assert walk(bank, worst, np.full(50, pane), np.zeros(50, dtype=int)) == []
    recovered = [pane for pane in range(20, 80) if walk(bank, healthy(), np.full(50, pane), np.zeros(50, dtype=int))]
    assert recovered
    assert recovered[0] < 50


def test_what_is_set_aside_never_fires_and_the_other_sides_go_on():
    bank = bank_of([SIDES[0], SIDES[2]], np.array([0, 1]), 1)
    bank.exclude(0, 0)
    bank.exclude(0, 1)
    channels = np.ones((40, 2))
    for pane in range(10):
        assert walk(bank, channels, np.full(40, pane), np.zeros(40, dtype=int)) == []
    assert not bank.test_statistics.any()
    bank.clear(0)
    assert any(walk(bank, channels, np.full(40, pane), np.zeros(40, dtype=int)) for pane in range(10, 20))


def test_without_values_only_rates_are_walked():
    bank = bank_of(SIDES[:2], COLUMNS[:2])
    channels, panes, place = stream(1, 300)
    walk(bank, channels[:, :1].repeat(2, axis=1), panes, place)
    assert bank.test_statistics.any()


def test_state_put_down_and_taken_up_changes_nothing():
    channels, panes, place = stream(1, 900)
    whole, second, state = bank_of(), bank_of(slots=0), {}
    for begin in range(0, 900, 150):
        part = slice(begin, begin + 150)
        crossings = walk(whole, channels[part], panes[part], place[part])
        if begin == 450:
            second.load(state)
        if begin >= 450:
            assert walk(second, channels[part], panes[part], place[part]) == crossings
        for bank in (whole, second)[: 1 + (begin >= 450)]:
            for crossing in crossings:
                slots = np.unique(place[part][place[part] >= 0])
                bank.latch(int(slots[crossing.value]), crossing.side, 0.5)
        state = whole.dump()
    for name, kept in whole.dump().items():
        np.testing.assert_array_equal(second.dump()[name], kept)
    assert whole.latched.any()


def test_a_dump_is_not_changed_by_what_follows():
    bank = bank_of()
    state = bank.dump()
    walk(bank, *stream(4, 300))
    assert not state["walks"].any()


def test_state_of_other_sides_is_refused():
    with pytest.raises(ValueError, match="sides have changed"):
        bank_of(SIDES[:2], COLUMNS[:2]).load(bank_of().dump())


def test_restart_forgets_walks_and_keeps_what_is_latched_or_aside():
    bank = bank_of()
    walk(bank, *stream(1, 300))
    bank.latch(0, 2, 0.9)
    bank.exclude(1, 0)
    bank.reset()
    assert not bank.test_statistics.any()
    assert np.argwhere(bank.latched).tolist() == [[0, 2]]
    assert np.argwhere(bank.aside).tolist() == [[1, 0]]


def test_records_that_lie_far_apart_count_for_more_where_neighbours_resemble_each_other():
    sluggish = [replace(side, weight=1 / 8) for side in SIDES]
    steps = SegmentEvidence(sluggish, COLUMNS.max() + 1 + COLUMNS, COLUMNS)
    panes = np.zeros(40, dtype=np.int64)
    parts = group_rows(panes, [np.zeros(40, dtype=np.int64)], 1)
    numbers = np.ones((40, 2 * int(COLUMNS.max() + 1)))
    sums = sum_groups(parts, numbers, steps.scores(numbers))
    slots = np.zeros(1, dtype=np.intp)
    close, apart = (steps.evidence_of(slots, sums, np.array([density])) for density in (1.0, 0.0))
    np.testing.assert_allclose(apart, 8 * close)
    half = steps.evidence_of(slots, sums, np.array([0.5]))
    np.testing.assert_allclose(half, close * 8 / (1 + 7 * 0.5))
