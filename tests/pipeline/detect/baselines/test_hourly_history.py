"""The hours from which a baseline is renewed: what they contain, what is left out, and their bounds."""

import numpy as np
import pytest

from pipeline.detect.baselines import HourlyHistory
from pipeline.detect.baselines.hourly_history import DAYS_MAX, HOUR_VALUES_MAX, SIGNAL_VALUES_MAX
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import channels
from schemas.baseline import Baseline

LATENCY, ERROR = channels.signal_by_name("latency_ms", "amount"), channels.signal_by_name("error", "rate")
START_HOUR = 500_000
ROWS = 40
SETTINGS = DetectSettings(ready_records=100, ready_records_rate=100)
BEFORE = Baseline(
    subject="bot",
    baseline_version="v",
    source="live",
    learned_from=1_795_000_000_000,
    learned_to=1_795_086_400_000,
    records=1,
    signals={},
)


class History:
    """A history, and the totals of the statistics of its stream."""

    def __init__(self) -> None:
        self.history = HourlyHistory("bot")
        self.count, self.latency, self.errors = 0.0, 0.0, 0.0

    def pane(self, hour: int) -> int:
        """The first second of an hour, because hours start at a second that depends on the subject."""
        return next(
            pane for pane in range((START_HOUR + hour) * 3600, (START_HOUR + hour + 1) * 3600) if self._starts(pane)
        )

    def begin(self, hour: int, signals=(LATENCY, ERROR)) -> bool:
        moments = np.zeros((3, len(signals)))
        moments[0] = self.count
        moments[1, :2] = self.latency / max(1.0, self.count), self.errors / max(1.0, self.count)
        return self.history.advance(self.pane(hour), signals, moments)

    def fill(self, latency: float = 100.0, errors: int = 2, rows: int = ROWS) -> None:
        values = np.zeros((rows, 2))
        values[:, 0] = latency + np.arange(rows)
        self.add(values)
        self.count, self.errors = self.count + rows, self.errors + errors
        self.latency += float(values[:, 0].sum())

    def add(self, values: np.ndarray) -> None:
        """Add rows that are spread over the current hour."""
        first = self.history._hour * 3600 + self.history._offset_s
        self.history.add_values(values, first + np.arange(len(values)) * 3600 // len(values))

    def _starts(self, pane: int) -> bool:
        hour_of = self.history._hour_of
        return hour_of(pane) != hour_of(pane - 1)


def filled(hours: int) -> History:
    history = History()
    for hour in range(hours):
        history.begin(hour)
        history.fill(latency=100.0 + hour % 24)
    history.begin(hours)
    return history


def test_an_hour_has_the_totals_of_all_records_and_values_of_each_of_its_parts():
    data = filled(30).history._learned_data(BEFORE)
    latency, error = data.columns
    assert (latency.signal, error.signal) == (LATENCY, ERROR)
    np.testing.assert_allclose(latency.counts, [ROWS] * 30)
    np.testing.assert_allclose(error.sums, [2.0] * 30, atol=1e-9)
    np.testing.assert_allclose(latency.sums[0], (100.0 + np.arange(ROWS)).sum())
    first_rows = [-(-part * ROWS // HOUR_VALUES_MAX) for part in range(HOUR_VALUES_MAX)]
    assert latency.values[:HOUR_VALUES_MAX].tolist() == [100.0 + row for row in first_rows]
    assert np.bincount(latency.slices).tolist() == [HOUR_VALUES_MAX] * 30
    assert error.values.size == 30 * HOUR_VALUES_MAX
    assert data.to_ms - data.from_ms == 30 * 3_600_000


def test_each_signal_has_the_first_value_of_each_part_of_the_hour_however_blocks_end():
    random = np.random.default_rng(3)
    values = np.where(random.random((500, 2)) < 0.05, random.random((500, 2)), np.nan)
    stored = []
    for size in (500, 7):
        history = History()
        history.begin(0)
        panes = history.pane(0) + np.arange(500) * 3600 // 500
        for begin in range(0, 500, size):
            part = slice(begin, begin + size)
            if history.history.has_room(int(panes[part][0]), int(panes[part][-1]), 2):
                history.history.add_values(values[part], panes[part])
        history.count = 500
        history.begin(1)
        stored.append([column.values.tolist() for column in history.history._learned_data(BEFORE).columns])
    parts = np.arange(500) * 3600 // 500 * HOUR_VALUES_MAX // 3600
    expected = [
        [column[parts == part][~np.isnan(column[parts == part])][0] for part in np.unique(parts[~np.isnan(column)])]
        for column in values.T
    ]
    np.testing.assert_array_equal(stored[0][0], expected[0])
    np.testing.assert_array_equal(stored[0][1], expected[1])
    assert stored[0] == stored[1]


def test_an_hour_of_a_slow_signal_shows_its_range_and_not_one_moment():
    """An age that is reset once an hour: the values are spread from 0 to 59 minutes, also after four weeks."""
    history = History()
    for hour in range(24 * DAYS_MAX):
        history.begin(hour)
        ages = np.arange(3600.0)
        history.add(np.column_stack([ages, np.zeros(3600)]))
        history.count += 3600
        history.latency += float(ages.sum())
    history.begin(24 * DAYS_MAX)
    column = history.history._learned_data(BEFORE).columns[0]
    for hour in (column.slices.min(), column.slices.max()):
        values = column.values[column.slices == hour]
        assert values.min() < 600
        assert values.max() > 2400
        assert values.mean() == pytest.approx(1500, abs=350)


def test_hours_since_an_alert_began_are_left_out():
    history = filled(10)
    history.history.exclude_since(history.pane(7) * 1000)
    assert history.history.hour_count == 7
    history.fill()
    history.begin(11)
    assert history.history.hour_count == 7
    history.fill()
    history.begin(12)
    assert history.history.hour_count == 8
    counts = history.history._learned_data(BEFORE).columns[0].counts
    assert np.flatnonzero(counts).tolist() == [0, 1, 2, 3, 4, 5, 6, 11]


def test_a_day_ends_once_in_24_hours_and_not_at_the_same_second_for_every_subject():
    history = History()
    ends = [hour for hour in range(100) if history.begin(hour)]
    assert len(ends) == 4
    assert np.diff(ends).tolist() == [24, 24, 24]
    assert len({HourlyHistory(f"subject-{number}")._offset_s for number in range(50)}) == 50


def test_the_history_is_bounded_and_keeps_a_share_of_each_hour():
    history = filled(24 * (DAYS_MAX + 10))
    days = {hour // 24 for hour in history.history._hours()}
    assert len(days) == DAYS_MAX
    column = history.history._learned_data(BEFORE).columns[0]
    per_hour = np.bincount(column.slices)
    assert per_hour.max() == 8
    assert per_hour[per_hour > 0].min() == per_hour.max()
    assert column.values.size <= SIGNAL_VALUES_MAX
    assert sum(len(day.numbers) for day in history.history._days.values()) < 30_000


def test_a_signal_that_comes_later_has_no_values_in_earlier_hours():
    history = filled(5)
    confidence = channels.signal_by_name("confidence", "ratio")
    history.add(np.full((ROWS, 3), 0.5))
    history.count += ROWS
    history.begin(6, (LATENCY, ERROR, confidence))
    column = history.history._learned_data(BEFORE).columns[2]
    assert np.flatnonzero(column.counts).tolist() == [5]
    assert column.values.tolist() == [0.5] * HOUR_VALUES_MAX


def test_statistics_that_were_reset_add_no_hour():
    history = filled(5)
    history.count, history.latency, history.errors = 3.0, 300.0, 0.0
    history.begin(6)
    assert history.history.hour_count == 5
    history.fill()
    history.begin(7)
    assert history.history.hour_count == 6


def test_a_history_restored_in_any_order_continues_equally():
    first = filled(50)
    parts = []
    first.history.mark_all()
    parts = first.history.dump_changed()
    restored = HourlyHistory("bot")
    for item, state in reversed(parts):
        restored.load_part(item, state)
    for data in zip(restored._learned_data(BEFORE).columns, first.history._learned_data(BEFORE).columns, strict=True):
        assert data[0].values.tolist() == data[1].values.tolist()
    restored.mark_all()
    np.testing.assert_equal(restored.dump_changed(), parts)
    assert restored.dump_changed() == []


def test_only_changed_days_are_written():
    history = filled(60)
    history.history.dump_changed()
    history.fill()
    history.begin(61)
    assert [item for item, _ in history.history.dump_changed()] in (
        [str((history.history._hour - 1) // 24), "head"],
        [*map(str, sorted(history.history._days)), "head"],
    )


def test_removed_days_are_removed_from_the_checkpoint():
    history = filled(30)
    days = {str(day) for day in history.history._days}
    history.history.dump_changed()
    history.history.clear()
    changed = dict(history.history.dump_changed())
    assert changed.keys() == days | {"head"}
    assert all(changed[day] is None for day in days)


def test_a_history_without_hours_teaches_nothing():
    with pytest.raises(ValueError, match="no hours"):
        HourlyHistory("bot").learn(BEFORE, SETTINGS)


@pytest.mark.parametrize("subject", ["bot", "search", "bot-7", "bot-8"])
def test_stored_values_have_the_time_at_which_they_arrived(subject: str):
    history = HourlyHistory(subject)
    first = START_HOUR * 3600 + history._offset_s
    for hour in range(4):
        panes = first + hour * 3600 + np.arange(0, 3600, 60)
        moments = np.array([[60.0 * hour], [float(panes.mean())], [0.0]])
        history.advance(int(panes[0]), (LATENCY,), moments)
        history.add_values(panes[:, None].astype(np.float64), panes)
    history.advance(first + 4 * 3600, (LATENCY,), np.array([[240.0], [float(first)], [0.0]]))
    (latency,) = history._learned_data(BEFORE).columns
    assert latency.values.size == 4 * HOUR_VALUES_MAX
    np.testing.assert_allclose(latency.times_ms / 1000, latency.values, atol=3600 / HOUR_VALUES_MAX)
