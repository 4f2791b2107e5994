"""Business time: the hours that count, the hours that do not, and the effect of daylight saving."""

import pytest
from pydantic import ValidationError

from pipeline.correlate.playbook.business_hours import BusinessHours
from schemas.timestamp import LATEST_MS, format_timestamp, parse_timestamp

SYDNEY = BusinessHours(time_zone="Australia/Sydney")
BERLIN = BusinessHours(time_zone="Europe/Berlin")


def after(hours, at, days=1.0):
    return format_timestamp(hours.add_business_time(parse_timestamp(at), days)).removesuffix(":00.000Z")


@pytest.mark.parametrize(
    ("at", "due"),
    [
        ("2026-11-24T11:00:00Z", "2026-11-25T11:00"),  # a Tuesday
        ("2026-11-24T03:12:00Z", "2026-11-24T17:00"),  # in the night: from the morning
        ("2026-11-24T20:00:00Z", "2026-11-25T17:00"),  # in the evening: from the next morning
        ("2026-11-27T15:00:00Z", "2026-11-30T15:00"),  # a Friday
        ("2026-11-28T15:00:00Z", "2026-11-30T17:00"),  # a Saturday
        ("2026-11-29T23:59:59Z", "2026-11-30T17:00"),
        ("2026-11-24T17:00:00Z", "2026-11-25T17:00"),  # at the end of a working day
        ("2026-11-24T09:00:00Z", "2026-11-24T17:00"),
    ],
)
def test_a_business_day_excludes_nights_and_weekends(at, due):
    assert after(BusinessHours(), at) == due


def test_a_sprint_of_ten_business_days_is_two_weeks():
    assert after(BusinessHours(), "2026-11-24T11:00:00Z", 10) == "2026-12-08T11:00"


def test_a_fraction_of_a_business_day_is_that_fraction_of_its_hours():
    assert after(BusinessHours(), "2026-11-24T16:00:00Z", 0.25) == "2026-11-25T10:00"


def test_a_holiday_does_not_count():
    christmas = BusinessHours(holidays=("2026-12-25", "2026-12-28"))
    assert after(christmas, "2026-12-24T15:00:00Z") == "2026-12-29T15:00"
    assert after(BusinessHours(), "2026-12-24T15:00:00Z") == "2026-12-25T15:00"


@pytest.mark.parametrize(
    ("hours", "at", "due"),
    [
        # Sydney: clocks go forward on Sunday 4 October 2026 (from +10 to +11) and back on Sunday 4 April 2027.
        (SYDNEY, "2026-10-02T15:00:00+10:00", "2026-10-05T15:00:00+11:00"),
        (SYDNEY, "2027-04-02T15:00:00+11:00", "2027-04-05T15:00:00+10:00"),
        (SYDNEY, "2026-11-25T03:12:00+11:00", "2026-11-25T17:00:00+11:00"),
        # Berlin: forward on Sunday 29 March 2026 (from +1 to +2), back on Sunday 25 October 2026.
        (BERLIN, "2026-03-27T15:00:00+01:00", "2026-03-30T15:00:00+02:00"),
        (BERLIN, "2026-10-23T15:00:00+02:00", "2026-10-26T15:00:00+01:00"),
        (BERLIN, "2026-10-25T02:30:00+02:00", "2026-10-26T17:00:00+01:00"),
    ],
)
def test_daylight_saving_does_not_shift_the_working_day(hours, at, due):
    assert after(hours, at) == format_timestamp(parse_timestamp(due)).removesuffix(":00.000Z")


def test_a_business_day_round_the_clock_ends_at_the_same_local_time():
    always = BusinessHours(
        time_zone="Europe/Berlin", days=("mon", "tue", "wed", "thu", "fri", "sat", "sun"), begins="00:00", ends="24:00"
    )
    assert after(always, "2026-11-24T03:12:00Z") == "2026-11-25T03:12"
    assert after(always, "2026-03-28T12:00:00+01:00") == "2026-03-29T10:00"  # 12:00 there, 23 hours later
    assert after(always, "2026-03-28T02:30:00+01:00") == "2026-03-29T01:30"  # a time that the clock skips


def test_other_working_days_can_be_set():
    gulf = BusinessHours(time_zone="Asia/Riyadh", days=("sun", "mon", "tue", "wed", "thu"))
    assert after(gulf, "2026-11-26T15:00:00+03:00") == "2026-11-29T12:00"  # Thursday to Sunday


def test_the_result_is_never_before_its_start_or_after_the_latest_timestamp():
    at = parse_timestamp("2026-10-25T01:30:00Z")  # the second 02:30 of that night in Berlin
    always = BusinessHours(time_zone="Europe/Berlin", days=("sun",), begins="00:00", ends="24:00")
    assert always.add_business_time(at, 0.0) >= at
    assert BusinessHours().add_business_time(LATEST_MS - 1000, 10) == LATEST_MS
    assert SYDNEY.add_business_time(LATEST_MS, 10) == LATEST_MS


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"time_zone": "Australia/Sidney"}, 'did you mean "Australia/Sydney"?'),
        ({"time_zone": "../etc/passwd"}, "unknown time zone"),
        ({"begins": "9:00"}, "is not a time of day; use HH:MM"),
        ({"ends": "24:30"}, "is not a time of day"),
        ({"begins": "17:00", "ends": "09:00"}, "ends (09:00) must be later than begins (17:00)"),
        ({"holidays": ("25.12.2026",)}, "is not a date; use YYYY-MM-DD"),
        ({"holidays": ("20261225",)}, "is not a date"),
        ({"days": ()}, "at least 1 item"),
        ({"days": ("monday",)}, "Input should be"),
    ],
)
def test_invalid_business_hours_are_refused_with_the_reason(settings, complaint):
    with pytest.raises(ValidationError) as caught:
        BusinessHours(**settings)
    assert complaint in str(caught.value)
