"""The score of NAB on cases computed by hand: a series of 1,000 rows, in which the first 150 do not count."""

import math

import pytest

from load.score.nab.sigmoid_score import (
    LabelledWindow,
    SigmoidScore,
    count_probation_rows,
    scaled_sigmoid,
    score_alarms,
)

ROWS = 1000
WINDOWS = (LabelledWindow(200, 299), LabelledWindow(600, 799))


@pytest.mark.parametrize(
    ("position", "credit"), [(-1.0, 0.986614), (-0.5, 0.848284), (0.0, 0.0), (0.5, -0.848284), (1.0, -0.986614)]
)
def test_the_sigmoid_at_five_positions(position: float, credit: float) -> None:
    assert scaled_sigmoid(position) == pytest.approx(credit, abs=1e-6)
    assert scaled_sigmoid(position) == pytest.approx(2.0 / (1.0 + math.exp(5.0 * position)) - 1.0)


def test_no_alarm_is_0() -> None:
    score = score_alarms([], WINDOWS, ROWS)
    assert (score.windows, score.windows_found, score.false_alarms, score.points) == (2, 0, 0, -2.0)
    assert score.normalised == 0.0


def test_an_alarm_at_the_first_row_of_every_window_is_100() -> None:
    score = score_alarms([200, 600], WINDOWS, ROWS)
    assert (score.windows_found, score.false_alarms) == (2, 0)
    assert score.normalised == pytest.approx(100.0)


def test_credit_falls_with_the_position_in_the_window() -> None:
    # Row 250 is 50 of 100 rows before the end, and row 700 is 100 of 200: both are at -0.5.
    assert score_alarms([250], WINDOWS, ROWS).points == pytest.approx(0.848284 - 1.0, abs=1e-6)
    assert score_alarms([700], WINDOWS, ROWS).points == pytest.approx(0.848284 - 1.0, abs=1e-6)
    # The last row is at -0.01, the first one that is too late has no credit of its own.
    assert score_alarms([299], WINDOWS, ROWS).points == pytest.approx(math.tanh(0.025) - 1.0)
    # The range from null to perfect is 3.973228 points, and 1.848284 of them are reached.
    assert score_alarms([250], WINDOWS, ROWS).normalised == pytest.approx(46.518, abs=1e-3)


def test_two_alarms_in_a_window_count_as_the_first() -> None:
    assert score_alarms([250, 210, 280], WINDOWS, ROWS) == score_alarms([210], WINDOWS, ROWS)
    assert score_alarms([210, 210], WINDOWS, ROWS).windows_found == 1


def test_a_false_alarm_before_the_first_window_costs_its_full_weight() -> None:
    for row in (150, 199):
        score = score_alarms([row], WINDOWS, ROWS)
        assert (score.windows_found, score.false_alarms) == (0, 1)
        assert score.points == pytest.approx(-2.0 - 0.11)
    # The range from null to perfect is 3.973228 points.
    assert score.normalised == pytest.approx(-2.769, abs=1e-3)


def test_a_false_alarm_costs_less_soon_after_a_window() -> None:
    # One row after a window of 100 rows is at 0.01, 50 rows after it at 0.5, and 300 rows after it at 3.
    assert score_alarms([300], WINDOWS, ROWS).points == pytest.approx(-2.0 - 0.11 * math.tanh(0.025))
    assert score_alarms([349], WINDOWS, ROWS).points == pytest.approx(-2.0 - 0.11 * 0.848284, abs=1e-6)
    assert score_alarms([599], WINDOWS, ROWS).points == pytest.approx(-2.0 - 0.11, abs=1e-6)
    # The second window has 200 rows, so 100 rows after it are 0.5.
    assert score_alarms([899], WINDOWS, ROWS).points == pytest.approx(-2.0 - 0.11 * 0.848284, abs=1e-6)


def test_each_false_alarm_costs() -> None:
    score = score_alarms([200, 500, 501, 502, 600], WINDOWS, ROWS)
    assert (score.windows_found, score.false_alarms) == (2, 3)
    assert score.normalised == pytest.approx(100.0 - 100.0 * 0.33 / (2 * 0.986614 + 2), abs=1e-3)


def test_alarms_in_the_probation_do_not_count() -> None:
    assert [count_probation_rows(rows) for rows in (1000, 1243, 5000, 20_000)] == [150, 186, 750, 750]
    assert score_alarms(range(150), WINDOWS, ROWS) == score_alarms([], WINDOWS, ROWS)
    assert score_alarms([150], WINDOWS, ROWS) != score_alarms([], WINDOWS, ROWS)
    assert score_alarms([], [LabelledWindow(100, 149)], ROWS).windows == 0


def test_a_series_without_windows_has_points_and_no_score() -> None:
    quiet = score_alarms([500, 600], [], ROWS)
    assert quiet.points == pytest.approx(-0.22)
    assert quiet.normalised is None


def test_series_are_added_before_the_score_is_normalised() -> None:
    total = score_alarms([200, 600], WINDOWS, ROWS) + score_alarms([500, 600], [], ROWS)
    assert (total.windows, total.windows_found, total.false_alarms) == (2, 2, 2)
    assert total.normalised == pytest.approx(100.0 - 100.0 * 0.22 / (2 * 0.986614 + 2), abs=1e-3)
    assert SigmoidScore() + total == total
