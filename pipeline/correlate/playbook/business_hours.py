"""Business hours: working days and hours in a time zone, which count towards the time to fix a P3 or P4."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.time_zone import check_time_zone
from schemas.timestamp import LATEST_MS

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

_WEEK: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"(?:([01]\d|2[0-3]):([0-5]\d))|24:00", re.ASCII)
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BusinessHours(BaseModel):
    """Working days and hours in local time, so daylight saving time does not shift the start of the day."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time_zone: str = Field(
        default="UTC", max_length=100, description="Name in the IANA time zone database, such as Australia/Sydney."
    )
    days: tuple[Day, ...] = Field(
        default=("mon", "tue", "wed", "thu", "fri"), min_length=1, max_length=7, description="Working days."
    )
    begins: str = Field(default="09:00", description="Start of a working day, HH:MM.")
    ends: str = Field(
        default="17:00", description="End of a working day, HH:MM. It must be later than begins; 24:00 is midnight."
    )
    holidays: tuple[Annotated[str, Field(max_length=10)], ...] = Field(
        default=(), max_length=1_000, description="Holidays and other non-working days, YYYY-MM-DD."
    )

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return check_time_zone(name)

    @field_validator("begins", "ends")
    @classmethod
    def _is_time_of_day(cls, text: str) -> str:
        if not _TIME.fullmatch(text):
            raise ValueError(f'"{text}" is not a time of day; use HH:MM, such as 09:00')
        return text

    @field_validator("holidays")
    @classmethod
    def _are_dates(cls, holidays: tuple[str, ...]) -> tuple[str, ...]:
        for holiday in holidays:
            try:
                known = date.fromisoformat(holiday).isoformat() == holiday
            except ValueError:
                known = False
            if not known:
                raise ValueError(f'"{holiday}" is not a date; use YYYY-MM-DD, such as 2026-12-25')
        return holidays

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> "BusinessHours":
        if _time_of_day(self.begins) >= _time_of_day(self.ends):
            raise ValueError(f"ends ({self.ends}) must be later than begins ({self.begins})")
        return self

    def add_business_time(self, at: int, days: float) -> int:
        """Return the time (Unix ms) that is a given number of business days after ``at`` (Unix ms).

        A business day is the time from ``begins`` to ``ends``; nights, other days and holidays do not count. A time
        outside business hours counts from the next start of a working day. The result is never later than the year
        9999.

        >>> from schemas.timestamp import format_timestamp, parse_timestamp
        >>> format_timestamp(BusinessHours().add_business_time(parse_timestamp("2026-11-27T15:00:00Z"), 1))  # a Friday
        '2026-11-30T15:00:00.000Z'
        >>> sydney = BusinessHours(time_zone="Australia/Sydney")  # where the next line is 03:12 on the 25th
        >>> format_timestamp(sydney.add_business_time(parse_timestamp("2026-11-24T16:12:00Z"), 1))
        '2026-11-25T06:00:00.000Z'
        """
        try:
            return max(at, self._add_business_time(at, days))
        except OverflowError:
            return LATEST_MS

    def _add_business_time(self, at: int, days: float) -> int:
        zone = ZoneInfo(self.time_zone)
        begins, ends = _time_of_day(self.begins), _time_of_day(self.ends)
        local = (_EPOCH + timedelta(milliseconds=at)).astimezone(zone).replace(tzinfo=None)
        left = (ends - begins) * days
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        while True:
            start = max(local, midnight + begins)
            if self._is_working_day(midnight) and start < midnight + ends:
                if start + left <= midnight + ends:
                    due = (start + left).replace(tzinfo=zone)
                    return (due.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
                left -= midnight + ends - start
            midnight += _DAY

    def _is_working_day(self, midnight: datetime) -> bool:
        return _WEEK[midnight.weekday()] in self.days and midnight.date().isoformat() not in self.holidays


def _time_of_day(text: str) -> timedelta:
    hours, _, minutes = text.partition(":")
    return timedelta(hours=int(hours), minutes=int(minutes))
