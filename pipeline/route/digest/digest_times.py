"""The times of a digest: once on each of its days, at a local time of day.

The clock can change in between. A local time that occurs twice counts the first time. A local time that the change
skips counts as if the clock had not changed: 02:30 is then 03:30. A day that a time zone skips has no digest.
"""

from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from zoneinfo import ZoneInfo

from pipeline.route.settings import DigestSettings
from pipeline.route.time_intervals import is_within, parse_time, parse_weekdays

_ONE_DAY = timedelta(days=1)
_DAYS_PER_WEEK = 7


class DigestTimes:
    """The times at which a digest is due.

    >>> times = DigestTimes(DigestSettings(name="morning", receivers=("mail",), time="09:00", location="Europe/Berlin"))
    >>> times.latest_day(1_795_507_199_999), times.latest_day(1_795_507_200_000)  # until 2026-11-24T08:00:00Z
    (datetime.date(2026, 11, 23), datetime.date(2026, 11, 24))
    """

    def __init__(self, settings: DigestSettings) -> None:
        self._time = time_of_day(*divmod(parse_time(settings.time), 60))
        self._weekdays = tuple(map(parse_weekdays, settings.weekdays))
        self._zone = ZoneInfo(settings.location)

    def latest_day(self, at: int) -> date:
        """Return the local day of the newest digest that is due at a time (Unix ms)."""
        # After a change of the clock around midnight, tomorrow can have begun already.
        day = datetime.fromtimestamp(at / 1000, self._zone).date() + _ONE_DAY
        while not is_within(self._weekdays, day.isoweekday() % _DAYS_PER_WEEK) or self.due_at(day) > at:
            day -= _ONE_DAY
        return day

    def due_at(self, day: date) -> int:
        """Return the time (Unix ms) at which the digest of a local day is due."""
        return round(datetime.combine(day, self._time, self._zone).timestamp() * 1000)
