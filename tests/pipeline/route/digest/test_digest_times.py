from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.route.digest import DigestTimes
from pipeline.route.settings import DigestSettings
from tests.mutations import fuzz_settings
from tests.pipeline.route.digest.samples import due_times, ms

ZONES = [
    *("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Nuuk", "Pacific/Apia"),
    *("Asia/Kathmandu", "America/St_Johns", "America/Sao_Paulo", "Africa/Casablanca"),
]
TIMES = ["00:00", "00:15", "00:30", "01:45", "02:00", "02:15", "02:30", "03:00", "09:00", "23:00", "23:30", "23:45"]
PERIODS = [
    *("2027-03-10T00:00Z", "2026-10-20T00:00Z", "2026-10-30T00:00Z", "2027-04-01T00:00Z", "2026-09-25T00:00Z"),
    *("2011-12-25T00:00Z", "2017-10-10T00:00Z", "2018-02-14T00:00Z", "2010-11-04T00:00Z", "2026-02-10T00:00Z"),
]


def times(**changes):
    fields = {"name": "morning", "receivers": ["mail"], "time": "09:00"}
    return DigestTimes(DigestSettings.model_validate(fields | changes))


@pytest.mark.slow
@fuzz_settings
@given(
    location=st.sampled_from(ZONES),
    time=st.sampled_from(TIMES),
    weekdays=st.lists(st.sampled_from(["monday", "saturday", "sunday"]), unique=True, max_size=2).map(tuple),
    start=st.sampled_from(PERIODS),
)
def test_the_newest_due_day_is_that_of_a_plain_reference_over_every_change_of_the_clock(
    location, time, weekdays, start
):
    digest, first = times(time=time, weekdays=weekdays, location=location), ms(start)
    due = due_times(location, time, weekdays, first - 10 * 86_400_000, first + 21 * 86_400_000)
    for at in range(first, first + 20 * 86_400_000, 15 * 60_000):
        newest = max(day for day, due_at in due.items() if due_at <= at)
        assert digest.latest_day(at) == newest


@pytest.mark.parametrize(
    ("location", "time", "day", "due_at"),
    [
        ("Europe/Berlin", "02:30", date(2027, 3, 28), "2027-03-28T03:30+02:00"),  # skipped
        ("Europe/Berlin", "02:30", date(2026, 10, 25), "2026-10-25T02:30+02:00"),  # repeated
        ("America/New_York", "09:00", date(2026, 11, 1), "2026-11-01T09:00-05:00"),
        ("America/Nuuk", "23:30", date(2027, 3, 27), "2027-03-28T00:30-01:00"),  # skipped, at the end of the day
        ("Australia/Lord_Howe", "02:15", date(2026, 10, 4), "2026-10-04T02:45+11:00"),  # half an hour is skipped
    ],
)
def test_a_digest_is_due_once_where_the_clock_changes(location, time, day, due_at):
    digest = times(time=time, location=location)
    assert digest.latest_day(ms(due_at) - 1) == day - timedelta(1)
    assert digest.latest_day(ms(due_at)) == day
    assert digest.latest_day(ms(due_at) + 3 * 3_600_000) == day


def test_a_day_that_a_time_zone_skips_has_no_digest_of_its_own():
    digest = times(location="Pacific/Apia")  # 2011-12-30 did not exist
    assert digest.latest_day(ms("2011-12-31T08:59+14:00")) == date(2011, 12, 29)
    assert digest.latest_day(ms("2011-12-31T09:00+14:00")) == date(2011, 12, 31)
