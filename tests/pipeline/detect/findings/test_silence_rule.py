"""Silences against the expected requests: offices, streams that never pause, gaps that come again, batches."""

import numpy as np
import pytest

from pipeline.detect.findings.silence_rule import SilenceRule
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Traffic
from schemas.drift import MINUTE_MS
from tests.pipeline.detect.traffic.minutes import DAY, SEEDS, baseline_with, daily_cycle, draw
from tests.pipeline.detect.traffic.weeks import MONDAY, WEEK, find_silences, first_of, office, without

pytestmark = pytest.mark.slow

FIRST_DAYS = ("Monday", "Thursday", "Saturday")
RATES = (120, 10, 1)
"""Requests per minute in office hours."""


def running(per_minute, seed, *, factor=1, spread=1.0, weeks=5):
    """Requests of a stream that never pauses, from a Monday on."""
    return draw(np.random.default_rng(seed), daily_cycle(weeks * WEEK, per_minute, factor, MONDAY), spread)


@pytest.mark.parametrize("day", FIRST_DAYS)
@pytest.mark.parametrize("per_minute", RATES)
@pytest.mark.parametrize("seed", SEEDS[:3])
def test_no_weekend_pages_and_only_the_first_is_a_ticket(day, per_minute, seed):
    found = find_silences(office(day, per_minute, seed), day)
    assert [silence.page for silence in found] == [None] * len(found)
    assert len(found) <= 1
    for silence in found:
        assert (silence.began[0], silence.ticket[0]) == ("Friday", "Saturday")
        assert silence.ticket[2] == (1 if day == "Saturday" else 0)


@pytest.mark.parametrize("day", FIRST_DAYS)
@pytest.mark.parametrize("seed", SEEDS[:3])
def test_few_people_on_weekends_cause_no_page_and_few_tickets(day, seed):
    for per_minute, tickets_max in ((120, 0), (10, 2), (1, 4)):
        found = find_silences(office(day, per_minute, seed, weekend=0.02), day)
        assert [silence.page for silence in found] == [None] * len(found)
        assert len(found) <= tickets_max
        assert all(silence.ticket[2] <= 1 for silence in found)


@pytest.mark.parametrize(
    ("day", "week"), [("Monday", 0), ("Monday", 2), ("Thursday", 1), ("Thursday", 3), ("Saturday", 2)]
)
@pytest.mark.parametrize("per_minute", RATES)
@pytest.mark.parametrize("seed", SEEDS[:3])
def test_two_hours_of_nobody_on_a_tuesday_at_eleven_page(day, week, per_minute, seed):
    counts = without(office(day, per_minute, seed), day, "Tuesday", week, 11, 2)
    pages = [silence.page for silence in find_silences(counts, day) if silence.page]
    assert [(name, of_week) for name, _, of_week in pages] == [("Tuesday", week)]
    assert pages[0][1] < 13


@pytest.mark.parametrize("week", [1, 2])
@pytest.mark.parametrize("per_minute", RATES)
def test_a_public_holiday_is_a_ticket_before_three_weeks_are_known(week, per_minute):
    counts = without(office("Monday", per_minute, SEEDS[3]), "Monday", "Tuesday", week, -3, 33)
    holiday = find_silences(counts, "Monday")[1]
    assert holiday.page is None
    assert (holiday.ticket[0], holiday.ticket[2]) == ("Tuesday", week)
    assert len(find_silences(counts, "Monday")) == 2


@pytest.mark.parametrize("per_minute", RATES)
def test_a_weekday_without_anybody_pages_in_the_morning_once_three_weeks_are_known(per_minute):
    """A public holiday looks the same, and pages too."""
    counts = without(office("Monday", per_minute, SEEDS[4]), "Monday", "Monday", 4, -24, 48)
    silence = find_silences(counts, "Monday")[-1]
    assert silence.began[0] == "Friday"
    assert silence.ticket[0] == silence.page[0] == "Monday"
    assert silence.ticket[1] < silence.page[1] <= 11


@pytest.mark.parametrize("per_minute", RATES)
def test_a_silence_after_a_weekend_pages_on_the_second_day_before_that(per_minute):
    counts = without(office("Monday", per_minute, SEEDS[5]), "Monday", "Monday", 2, -24, 24 + 60)
    silence = find_silences(counts, "Monday")[-1]
    assert silence.ticket[0] == "Monday"
    assert silence.page[0] == "Tuesday"
    assert silence.page[1] <= 11


def test_a_failure_that_lasts_over_the_first_weekend_does_not_hide_the_next_and_causes_no_page_later():
    counts = without(office("Monday", 120, SEEDS[6]), "Monday", "Friday", 0, 15.5, 8)
    first, *others = find_silences(counts, "Monday")
    assert first.page[0] == "Friday"
    assert [silence.page for silence in others] == [None]


def test_a_silence_of_a_week_pages_even_if_only_a_day_is_known():
    counts = without(office("Monday", 10, SEEDS[7], weeks=3), "Monday", "Tuesday", 0, 18, 9 * 24)
    silence = find_silences(counts, "Monday")[0]
    assert silence.page is not None
    assert silence.page[2] >= 1


@pytest.mark.parametrize(("factor", "spread"), [(1, 1.0), (5, 8.0)])
@pytest.mark.parametrize("seed", SEEDS[:3])
def test_a_stream_that_never_pauses_pages_after_minutes_and_never_by_chance(factor, spread, seed):
    counts = running(24, seed, factor=factor, spread=spread)
    assert find_silences(counts, "Monday") == []
    (silence,) = find_silences(without(counts, "Monday", "Tuesday", 2, 11, 2), "Monday")
    assert silence.ticket is None
    assert silence.page[1] < 11.25


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_a_stream_of_three_requests_an_hour_pages_within_half_a_day_and_never_by_chance(seed):
    counts = running(0.05, seed)
    assert find_silences(counts, "Monday") == []
    (silence,) = find_silences(without(counts, "Monday", "Tuesday", 2, 8, 24), "Monday")
    assert silence.page[1] < 20


@pytest.mark.parametrize("minutes", [30, 180])
def test_a_gap_that_comes_every_week_is_learned_after_two_weeks(minutes):
    counts = running(24, SEEDS[8])
    for week in range(5):
        counts = without(counts, "Monday", "Sunday", week, 2, minutes / 60)
    found = find_silences(counts, "Monday")
    assert [silence.page[2] for silence in found] == [0, 1]
    # It is learned for this time only.
    other = find_silences(without(counts, "Monday", "Wednesday", 4, 14, 1), "Monday")[-1]
    assert other.page[0] == "Wednesday"
    assert other.page[1] < 14.1


@pytest.mark.parametrize("minutes", [30, 120])
def test_a_gap_that_comes_every_night_is_learned_after_three_nights(minutes):
    counts = running(24, SEEDS[9])
    rng = np.random.default_rng(SEEDS[9])
    for day in range(4, 35):
        begin = day * DAY + 180 + rng.integers(-10, 10)
        counts[begin : begin + minutes] = 0
    found = find_silences(counts, "Monday")
    assert [silence.page[0] for silence in found] == ["Friday", "Saturday", "Sunday"]


def test_two_gaps_at_nearly_the_same_time_of_two_weeks_delay_no_page_at_other_times():
    counts = running(24, SEEDS[10])
    counts = without(counts, "Monday", "Wednesday", 0, 10.3, 1.4)
    counts = without(counts, "Monday", "Wednesday", 1, 9.5, 2.8)
    counts = without(counts, "Monday", "Thursday", 1, 16.5, 3)
    assert find_silences(counts, "Monday")[-1].page[0] == "Thursday"
    assert find_silences(counts, "Monday")[-1].page[1] < 16.6


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_jobs_that_run_every_hour_or_night_are_not_silent_between_their_runs(seed):
    rng = np.random.default_rng(seed)
    hourly, nightly = np.zeros(5 * WEEK), np.zeros(5 * WEEK)
    for hour in range(5 * 7 * 24):
        hourly[hour * 60 : hour * 60 + 10] = 10
    for day in range(35):
        begin = day * DAY + 120 + rng.integers(-30, 30)
        nightly[begin : begin + 120] = 20
    assert find_silences(draw(rng, hourly), "Monday") == []
    assert find_silences(draw(rng, nightly), "Monday", learn_days=2) == []


def test_a_restart_in_a_pause_counts_only_the_hours_since_then_and_does_not_page():
    """The worker starts on the first Saturday at eleven. The last record is from Friday evening."""
    hours = [600.0 if 8 <= hour < 18 else 0.0 for hour in range(24)]
    gap = {"after_s": 18 * 3600 - 60, "length_s": 14 * 3600}
    from_ms = MONDAY * MINUTE_MS
    traffic = Traffic.model_validate(
        {
            "requests_per_minute": [requests / 60 for requests in hours],
            "dispersion": 1.0,
            "hours_from": from_ms,
            "hourly_requests": [0.0] * 8 + hours[8:] + hours[:8],
            "gaps": [{"after_s": 0, "length_s": 479 * 60}, gap],
        },
        strict=False,
    )
    rule = SilenceRule.from_baseline(baseline_with(traffic), DetectSettings())
    friday = (first_of("Friday") + 17 * 60 + 55) * MINUTE_MS
    saturday = (first_of("Saturday") + 11 * 60) * MINUTE_MS
    due = rule.find_due(friday, saturday, 500.0)
    assert due.ticket_ms == saturday + 60 * MINUTE_MS
    assert due.page_ms >= saturday + 7 * DAY * MINUTE_MS
    # A silence that begins at eleven, after a busy hour, pages after an hour.
    assert rule.find_due(saturday, saturday, 500.0).page_ms == saturday + 60 * MINUTE_MS
    assert rule.find_due(saturday, saturday, 5.0).page_ms > saturday + 2 * DAY * MINUTE_MS
