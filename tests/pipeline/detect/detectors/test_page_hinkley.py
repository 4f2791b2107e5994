import math

import numpy as np
import pytest
from river.drift import PageHinkley

from pipeline.detect.detectors.page_hinkley import CAP_SHARE, PageHinkleyBank
from pipeline.detect.layout.grid import Samples
from pipeline.detect.one_sided_tests.bets import BETS
from tests.pipeline.detect.grids import grid_of_channels
from tests.pipeline.detect.simple_tests import simple_test

RECOVERY = 8.0

TESTS = [
    simple_test(0.015, 0.01),
    simple_test(0.02, 0.01, weight=0.2, threshold=15.0),
    simple_test(0.58, 0.5, binary=False),
    simple_test(0.42, 0.5, binary=False, rising=False),
    simple_test(0.001, 0.0),
]
COLUMNS = np.array([0, 0, 1, 1, 2])


def bank_of(tests=TESTS, columns=COLUMNS) -> PageHinkleyBank:
    return PageHinkleyBank(tests, columns.max() + 1 + columns, columns, RECOVERY)


def observe(bank, channels, panes, times=None):
    return bank.observe(grid_of_channels(channels, panes), panes * 1000 if times is None else times)


def stream(seed: int, rows: int, *, burst: bool = True):
    """Three channels with missing values and bursts, and panes of random length."""
    random = np.random.default_rng(seed)
    channels = np.column_stack([random.random(rows) < 0.012, random.random(rows), random.random(rows) < 0.0005]).astype(
        float
    )
    if burst:
        begin = int(random.integers(rows // 2))
        channels[begin : begin + 40, 0] = 1.0
        channels[begin : begin + 60, 1] = 0.97
        channels[begin + 100 : begin + 160, 1] = 0.03
        channels[begin : begin + 5, 2] = 1.0
    channels[random.random(channels.shape) < 0.1] = np.nan
    panes = 1000 + np.cumsum(random.random(rows) < random.choice([0.02, 0.1, 0.8]))
    return channels, panes


class Oracle:
    """The recursion record by record, evaluated after every eight records of a pane."""

    def __init__(self, tests, columns):
        self.tests, self.columns = tests, columns
        self.statistics = np.zeros((len(tests), BETS))
        self.bases = np.zeros((len(tests), BETS))
        self.pane = None

    def block(self, channels, panes):
        evaluated = []
        pending = np.zeros_like(self.statistics)
        in_sample = 0
        for row in range(len(panes)):
            if panes[row] != self.pane:
                self.pane = panes[row]
                self.statistics = self.capped()
                self.bases = self.statistics.copy()
            for index, test in enumerate(self.tests):
                x = channels[row, self.columns[index]]
                if not math.isnan(x):
                    for bet in range(BETS):
                        pending[index, bet] += math.log(1 + test.stakes[bet] * (x - test.null_boundary)) * test.weight
            in_sample += 1
            last = row + 1 == len(panes)
            if in_sample == 8 or last or panes[row + 1] != panes[row]:
                self.statistics = np.maximum(self.statistics + pending, 0.0)
                pending[:] = 0.0
                in_sample = 0
                evaluated.append(self.capped())
        return evaluated

    def capped(self):
        """The counted part of the statistics: at most their value at the pane's start plus the cap."""
        caps = np.array([test.threshold for test in self.tests])[:, None] * CAP_SHARE
        return np.minimum(self.statistics, self.bases + caps)


@pytest.mark.parametrize("seed", range(12))
def test_statistics_equal_a_plain_recursion_with_the_cap_and_missing_values(seed):
    # No test is latched when it fires: thresholds only determine the cap.
    bank, oracle = bank_of(), Oracle(TESTS, COLUMNS)
    channels, panes = stream(seed, 700)
    random = np.random.default_rng(seed)
    begin, capped = 0, False
    while begin < len(panes):
        end = begin + int(random.integers(1, 130))
        observe(bank, channels[begin:end], panes[begin:end])
        evaluated = oracle.block(channels[begin:end], panes[begin:end])
        np.testing.assert_allclose(bank.test_statistics, evaluated[-1], rtol=0, atol=1e-9)
        thresholds = np.array([test.threshold for test in TESTS])
        capped |= bool((np.abs(evaluated[-1] - oracle.bases - thresholds[:, None] * CAP_SHARE) < 1e-12).any())
        begin = end
    assert capped or seed > 0, "the cap never bound: the stream does not test it"


class _Zero:
    """A reference frozen at 0, in place of river's running mean."""

    n = 0

    def update(self, _):
        self.n += 1

    def get(self):
        return 0.0


def river_alarm(increments, threshold):
    """The index at which river's Page-Hinkley fires on increments, with its reference frozen at 0."""
    detector = PageHinkley(min_instances=1, delta=0.0, threshold=threshold, alpha=1.0, mode="up")
    detector._x_mean, detector._min_increase = _Zero(), 0.0
    for index, increment in enumerate(increments):
        detector.update(float(increment))
        if detector.drift_detected:
            return index
    return None


@pytest.mark.parametrize("seed", range(8))
def test_without_a_cap_it_is_rivers_page_hinkley(seed, monkeypatch):
    random = np.random.default_rng(seed)
    rows = 2400
    x = (random.random(rows) < np.where(np.arange(rows) < 1200, 0.01, 0.08)).astype(float)
    panes = np.repeat(np.arange(rows // 25), 25)
    test = TESTS[0]
    samples = Samples.cut(panes)
    monkeypatch.setattr("pipeline.detect.detectors.page_hinkley.CAP_SHARE", math.inf)
    bank = bank_of([test], np.array([0]))
    crossings = observe(bank, x[:, None], panes)
    evidence = np.log1p(test.stakes[None, :] * (x[:, None] - test.null_boundary))
    sums = np.add.reduceat(evidence, samples.starts, axis=0)
    alarms = [river_alarm(sums[:, bet], test.threshold) for bet in range(BETS)]
    expected = min(alarm for alarm in alarms if alarm is not None)
    assert [crossing.step for crossing in crossings] == [expected]


def test_a_stream_without_a_change_does_not_fire():
    random = np.random.default_rng(3)
    bank = bank_of()
    for begin in range(0, 100_000, 500):
        channels = np.column_stack([random.random(500) < 0.01, random.random(500), np.zeros(500)]).astype(float)
        assert observe(bank, channels, (begin + np.arange(500)) // 50) == []


def test_a_storm_within_one_pane_does_not_fire_and_four_panes_do():
    bank = bank_of([TESTS[0]], np.array([0]))
    fired_in = []
    for pane in range(6):
        channels = np.ones((400, 1))
        if observe(bank, channels, np.full(400, pane)):
            fired_in.append(pane)
        assert bank.test_statistics.max() <= (pane + 1) * TESTS[0].threshold * CAP_SHARE + 1e-9
    assert fired_in[0] == 3


def test_the_cap_applies_across_the_blocks_of_one_pane():
    bank = bank_of([TESTS[0]], np.array([0]))
    for _ in range(10):
        assert observe(bank, np.ones((400, 1)), np.full(400, 7)) == []
    assert bank.test_statistics.max() == pytest.approx(TESTS[0].threshold * CAP_SHARE)


def test_the_start_is_the_first_record_after_the_last_zero_and_the_tally_counts_from_there():
    bank = bank_of([TESTS[0]], np.array([0]))
    quiet, bad = np.zeros((160, 1)), np.ones((160, 1))
    panes = np.arange(320) // 8
    assert observe(bank, quiet, panes[:160]) == []
    (crossing,) = observe(bank, bad, panes[160:])
    rows = (crossing.step + 1) * 8
    assert crossing.started_at == panes[160] * 1000
    assert crossing.tally == (rows, rows)
    within_one = bank_of([TESTS[0]], np.array([0]))
    (same,) = observe(within_one, np.vstack([quiet, bad]), panes)
    assert (same.started_at, same.tally, same.step) == (crossing.started_at, crossing.tally, crossing.step + 20)


def test_records_without_the_signal_are_no_evidence():
    bank = bank_of()
    assert observe(bank, np.full((64, 3), np.nan), np.arange(64)) == []
    assert not bank.test_statistics.any()


def test_a_latched_test_recovers_once_and_fires_again():
    bank = bank_of([TESTS[0]], np.array([0]))
    random = np.random.default_rng(5)
    events = []
    for index in range(120):
        bad = index < 10 or index >= 80
        channels = (random.random((400, 1)) < (0.2 if bad else 0.01)).astype(float)
        for crossing in observe(bank, channels, np.arange(index * 400, index * 400 + 400) // 50):
            latched = bool(bank.latched[crossing.test])
            events.append((index, "recovered" if latched else "fired"))
            if latched:
                bank.rearm(crossing.test)
            else:
                bank.latch(crossing.test, crossing.tally[1] / crossing.tally[0])
    assert [event for _, event in events] == ["fired", "recovered", "fired"]
    assert events[0][0] < 10 <= events[1][0] < 80 <= events[2][0]


@pytest.mark.parametrize(("rate", "recovers"), [(0.01, True), (0.022, False)])
def test_a_test_recovers_only_within_the_band_though_the_evidence_suffices(rate, recovers):
    bank = bank_of([TESTS[0]], np.array([0]))
    bank.latch(0, worst=0.3)
    random = np.random.default_rng(6)
    recovered_after = None
    for index in range(50):
        channels = (random.random((400, 1)) < rate).astype(float)
        panes = np.arange(index * 400, index * 400 + 400) // 50
        if observe(bank, channels, panes):
            recovered_after = index * 400
            break
    assert bank.test_statistics.max() >= RECOVERY
    assert (recovered_after is not None) is recovers
    assert recovered_after is None or recovered_after < 2000


def test_a_restored_state_changes_nothing():
    channels, panes = stream(4, 900)
    uninterrupted, first = bank_of(), bank_of()
    for bank, end in ((uninterrupted, 900), (first, 450)):
        for begin in range(0, end, 150):
            for crossing in observe(bank, channels[begin : begin + 150], panes[begin : begin + 150]):
                bank.latch(crossing.test, 0.5)
    second = bank_of()
    second.load(first.dump())
    for begin in range(450, 900, 150):
        for crossing in observe(second, channels[begin : begin + 150], panes[begin : begin + 150]):
            second.latch(crossing.test, 0.5)
    for name, stored in uninterrupted.dump().items():
        np.testing.assert_array_equal(second.dump()[name], stored)
    assert uninterrupted.latched.any()


def test_a_dump_is_not_changed_by_later_blocks():
    bank = bank_of()
    channels, panes = stream(4, 300)
    state = bank.dump()
    observe(bank, channels, panes)
    assert not state["statistics"].any()


def test_state_of_other_tests_is_rejected():
    with pytest.raises(ValueError, match="the one-sided tests have changed"):
        bank_of(TESTS[:2], COLUMNS[:2]).load(bank_of().dump())


def test_a_reset_clears_the_statistics_and_keeps_latches():
    bank = bank_of()
    channels, panes = stream(1, 300)
    observe(bank, channels, panes)
    bank.latch(2, 0.9)
    bank.reset()
    assert not bank.test_statistics.any()
    assert bank.latched.tolist() == [False, False, True, False, False]
    assert bank.strongest(0).tally == (0.0, 0.0)
