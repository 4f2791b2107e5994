"""Series of signals: exact levels, and memory that is bounded for long files and for many subjects."""

import numpy as np
import pytest

from pipeline.backtest.learning_period import SAMPLES_MAX, LearningPeriod, RecordTimes
from pipeline.backtest.signal_series import BINS_MAX, BINS_MIN, FIRST_WIDTH_MS, SignalSeries
from pipeline.detect.signals import Block, channels

LATENCY = channels.signal_by_name("latency_ms", "amount")
REFUSED = channels.signal_by_name("refused", "rate")


def block(second, values, signals=(LATENCY, REFUSED)):
    values = np.array(values, dtype=np.float64)
    count = len(values)
    panes = np.full(count, second, dtype=np.int64)
    return Block(signals, values, panes, panes * 1000, [None] * count, {}, np.ones(count, dtype=bool))


def test_a_level_is_the_median_of_a_value_and_the_mean_of_a_rate():
    series = SignalSeries()
    series.observe("bot", block(0, [[1, 0], [2, 1], [900, 1], [np.nan, np.nan]]))
    bot = series.subjects["bot"]
    assert bot.points(0) == ([FIRST_WIDTH_MS // 2], [2.0])
    assert bot.points(1)[1] == pytest.approx([2 / 3])
    assert bot.count(0) == 3
    assert bot.level_since(0, 0) == 2.0
    assert bot.level_since(0, FIRST_WIDTH_MS) is None


def test_a_new_signal_widens_the_later_bins_only():
    series = SignalSeries()
    series.observe("bot", block(0, [[5]], (LATENCY,)))
    series.observe("bot", block(1, [[7, 1]]))
    bot = series.subjects["bot"]
    assert bot.points(0)[1] == [6.0]
    assert bot.points(1)[1] == [1.0]


def test_the_number_of_bins_is_bounded_and_no_record_is_lost():
    series = SignalSeries()
    for minute in range(5000):
        series.observe("bot", block(60 * minute, [[minute, 0]]))
    bot = series.subjects["bot"]
    assert BINS_MAX // 2 < len(bot.bins) <= BINS_MAX
    assert bot.count(0) == 5000
    times, levels = bot.points(0)
    assert times == sorted(times)
    assert levels == sorted(levels)


def test_many_subjects_share_the_bins():
    series = SignalSeries()
    for number in range(1500):
        for minute in (0, 1):
            series.observe(f"bot-{number}", block(60 * minute, [[1, 0]]))
    for minute in range(200):
        series.observe("bot-0", block(60 * minute, [[1, 0]]))
    assert len(series.subjects["bot-0"].bins) <= BINS_MIN


def test_the_times_of_a_long_file_are_sampled():
    times = RecordTimes()
    for number in range(3 * SAMPLES_MAX):
        times.add(1_795_000_000_000 + number * 1000)
    first, last = times.span()
    assert times.records == 3 * SAMPLES_MAX
    assert len(times._times_ms) <= SAMPLES_MAX
    assert last - first == pytest.approx(3 * SAMPLES_MAX * 1000, rel=0.01)


@pytest.mark.parametrize(
    ("hours", "options", "expected_h"),
    [(4, {}, 2), (96, {}, 24), (4, {"given_after_s": 3600.0}, 1), (4, {"until_ms": 3 * 3_600_000}, 3)],
)
def test_the_period_is_the_first_half_up_to_the_readiness_or_what_was_given(hours, options, expected_h):
    choice = {"given_after_s": None, "until_ms": None} | options
    period = LearningPeriod.choose((0, hours * 3_600_000), 86_400, **choice)
    assert period.until_ms == expected_h * 3_600_000
    assert period.reason
