"""A window breaks its limit if chance does not explain the records beyond it."""

import numpy as np
import pytest
from scipy.stats import binom

from pipeline.detect.fixed_limits.limit_window import CHANCE, MINUTES_MAX, LimitWindow
from pipeline.detect.signal_rule import ValueLimit

P95 = ValueLimit(statistic="p95", above=5000)


def window(limit, *minutes, is_rate=False):
    filled = LimitWindow(limit, is_rate=is_rate)
    for number, values in enumerate(minutes):
        filled.add(number, np.asarray(values, dtype=np.float64))
    return filled


def latencies(slow, records):
    return [6000.0] * slow + [1000.0] * (records - slow)


@pytest.mark.parametrize(
    ("slow", "records", "is_beyond", "is_clear"),
    [
        (30, 600, False, False),
        (31, 600, True, False),
        (55, 600, True, False),
        (56, 600, True, True),
        (10, 20, True, True),
    ],
)
def test_a_percentile_is_compared_by_the_records_beyond_its_limit(slow, records, is_beyond, is_clear):
    reading = window(P95, latencies(slow, records)).read()
    assert (reading.is_beyond, reading.is_clear) == (is_beyond, is_clear)
    assert (float(binom.sf(slow - 1, records, 0.05)) < CHANCE) == is_clear
    assert (reading.now > 5000) == is_beyond
    assert reading.measured == slow / records


@pytest.mark.parametrize(("events", "is_clear"), [(4, False), (20, True)])
@pytest.mark.parametrize("side", ["above", "below"])
def test_a_rate_is_compared_by_its_events(side, events, is_clear):
    limit = ValueLimit(statistic="mean", **{side: 0.02 if side == "above" else 0.98})
    rare, usual = (1.0, 0.0) if side == "above" else (0.0, 1.0)
    reading = window(limit, [rare] * events + [usual] * (200 - events), is_rate=True).read()
    assert reading.is_clear == is_clear
    assert reading.now == pytest.approx(events / 200 if side == "above" else 1 - events / 200)


def test_the_mean_of_a_value_is_compared_by_its_standard_error():
    values = np.tile([900.0, 1100.0], 200)  # standard error 5, and 4.26 standard errors are 21.3
    for limit, is_clear in ((975.0, True), (985.0, False), (1005.0, False)):
        assert window(ValueLimit(statistic="mean", above=limit), values).read().is_clear == is_clear
    assert window(ValueLimit(statistic="mean", above=10.0), values[:99]).read() is None


def test_too_few_records_are_not_compared():
    assert window(P95, latencies(19, 19)).read() is None
    assert window(P95).read() is None


def test_old_minutes_go_once_the_others_cover_the_limit_with_enough_records():
    assert window(P95, *[latencies(0, 100)] * 9).read().records == 500
    assert window(P95, *[latencies(0, 30)] * 30).read().records == 300
    few = LimitWindow(P95, is_rate=False)
    for number in range(0, 4 * MINUTES_MAX, 60):
        few.add(number, np.array([1.0]))
    assert few.read().records == MINUTES_MAX // 60


def test_a_breach_begins_with_the_first_of_the_newest_minutes_beyond_the_limit():
    minutes = [latencies(50, 100), latencies(0, 100), latencies(20, 100), latencies(30, 100)]
    assert window(P95, *minutes).start_of_breach() == 2
    mean = ValueLimit(statistic="mean", below=4.0)
    assert window(mean, [1.0], [9.0], [3.0], [2.0]).start_of_breach() == 2


def test_a_limit_of_zero_is_broken_by_one_event_and_values_may_be_negative():
    never = ValueLimit(statistic="mean", above=0.0)
    assert window(never, [0.0] * 99 + [1.0], is_rate=True).read().is_clear
    assert not window(never, [0.0] * 100, is_rate=True).read().is_beyond
    reading = window(ValueLimit(statistic="p50", below=-2.0), [-3.0] * 30).read()
    assert (reading.is_clear, reading.now) == (True, pytest.approx(-3.0, rel=0.02))


def test_a_restored_window_reads_the_same():
    before = window(P95, latencies(5, 100), latencies(40, 100))
    after = LimitWindow(P95, is_rate=False)
    after.load(before.dump())
    for each in (before, after):
        each.add(1, np.array([7000.0, 10.0]))
    assert after.read() == before.read()
