"""Time intervals, during which routes are muted or active.

Source: Alertmanager's time intervals. An instant is converted to the local time of the interval and then compared.
Therefore, a local time that a clock change skips never matches, and a local time that it repeats matches twice.
"""

import calendar
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from pipeline.time_zone import check_time_zone
from pipeline.wording import did_you_mean

Range = tuple[int, int]
"""First and last number, both included."""

_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")
_DAYS_MAX = 31
_YEAR_MAX = 9999


def parse_time(text: str) -> int:
    """Return the minutes since midnight of ``HH:MM``."""
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is not a time; write HH:MM from 00:00 to 24:00")
    return int(text[:2]) * 60 + int(text[3:])


def _parse_range(text: str, parse: Callable[[str], int]) -> Range:
    """Parse one item, or a range of two items with a colon."""
    first, colon, last = text.partition(":")
    return parse(first), parse(last if colon else first)


def _parse_name(text: str, names: tuple[str, ...]) -> int:
    if text.lower() not in names:
        raise ValueError(f"unknown name {text!r}; {did_you_mean(text.lower(), names)}")
    return names.index(text.lower())


def _parse_number(text: str, smallest: int, largest: int) -> int:
    if not re.fullmatch(r"-?\d{1,4}", text) or not smallest <= int(text) <= largest or int(text) == 0:
        raise ValueError(f"{text!r} must be a number from {smallest} to {largest} other than 0")
    return int(text)


def parse_weekdays(text: str) -> Range:
    """Return the first and last day of ``monday:friday`` or of one day, counted from Sunday as 0."""
    first, last = _parse_range(text, lambda name: _parse_name(name, _WEEKDAYS))
    if first > last:
        raise ValueError(f"{text!r} ends before it begins, because weeks begin on Sunday; write two ranges")
    return first, last


def _parse_days(text: str) -> Range:
    first, last = _parse_range(text, lambda number: _parse_number(number, -_DAYS_MAX, _DAYS_MAX))
    if (first < 0 < last) or (first > last and first * last > 0):
        raise ValueError(f"{text!r} ends before it begins; negative days count from the end of the month")
    return first, last


def _parse_month(text: str) -> int:
    return _parse_number(text, 1, 12) if text.isdecimal() else _parse_name(text, _MONTHS) + 1


def _parse_months(text: str) -> Range:
    return _check_order(text, _parse_range(text, _parse_month))


def _parse_years(text: str) -> Range:
    return _check_order(text, _parse_range(text, lambda number: _parse_number(number, 1, _YEAR_MAX)))


def _check_order(text: str, found: Range) -> Range:
    if found[0] > found[1]:
        raise ValueError(f"{text!r} ends before it begins; write two ranges")
    return found


def checked_by(parse: Callable[[str], object]) -> AfterValidator:
    """Return a validator that leaves the text unchanged."""

    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


class TimeOfDaySettings(BaseModel):
    """Part of a day in local time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start_time: Annotated[str, checked_by(parse_time)] = Field(description="First minute, as HH:MM.")
    end_time: Annotated[str, checked_by(parse_time)] = Field(
        description="Minute before which the part ends, as HH:MM. 24:00 is the end of the day."
    )

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if parse_time(self.start_time) >= parse_time(self.end_time):
            raise ValueError(
                f"{self.start_time} to {self.end_time} ends before it begins; for a night, write two parts of the day"
            )
        return self


class TimeIntervalSettings(BaseModel):
    """Interval of time by local calendar and clock. A field that is left out does not restrict the interval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    times: tuple[TimeOfDaySettings, ...] = Field(default=(), description="Parts of the day.")
    weekdays: tuple[Annotated[str, checked_by(parse_weekdays)], ...] = Field(
        default=(), description="Days of the week or ranges of them, such as monday:friday. Weeks begin on Sunday."
    )
    days_of_month: tuple[Annotated[str, checked_by(_parse_days)], ...] = Field(
        default=(), description="Days of the month or ranges of them, such as 1:5. -1 is the last day of the month."
    )
    months: tuple[Annotated[str, checked_by(_parse_months)], ...] = Field(
        default=(), description="Months or ranges of them, by name or number, such as december or 1:3."
    )
    years: tuple[Annotated[str, checked_by(_parse_years)], ...] = Field(
        default=(), description="Years or ranges of them, such as 2027 or 2027:2028."
    )
    location: Annotated[str, AfterValidator(check_time_zone)] = Field(
        default="UTC", description="IANA time zone of the interval, such as Europe/Berlin."
    )


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """Interval of time, with parsed ranges. An empty tuple does not restrict the interval."""

    minutes: tuple[Range, ...]
    weekdays: tuple[Range, ...]
    days_of_month: tuple[Range, ...]
    months: tuple[Range, ...]
    years: tuple[Range, ...]
    zone: ZoneInfo

    @classmethod
    def from_settings(cls, settings: TimeIntervalSettings) -> "TimeInterval":
        """Parse the ranges of the settings."""
        return cls(
            tuple((parse_time(part.start_time), parse_time(part.end_time) - 1) for part in settings.times),
            tuple(map(parse_weekdays, settings.weekdays)),
            tuple(map(_parse_days, settings.days_of_month)),
            tuple(map(_parse_months, settings.months)),
            tuple(map(_parse_years, settings.years)),
            ZoneInfo(settings.location),
        )

    def contains(self, at: int) -> bool:
        """Return whether the interval contains a time (Unix ms).

        >>> night = TimeIntervalSettings(times=(TimeOfDaySettings(start_time="02:00", end_time="03:00"),))
        >>> TimeInterval.from_settings(night).contains(1_795_489_920_000)  # 2026-11-24T03:12:00Z
        False
        """
        local = datetime.fromtimestamp(at // 1000, self.zone)
        month_length = calendar.monthrange(local.year, local.month)[1]
        days = [tuple(day if day > 0 else month_length + 1 + day for day in ends) for ends in self.days_of_month]
        return (
            is_within(self.minutes, local.hour * 60 + local.minute)
            and is_within(self.weekdays, local.isoweekday() % 7)
            and is_within(days, local.day)
            and is_within(self.months, local.month)
            and is_within(self.years, local.year)
        )


def find_interval(intervals: Mapping[str, TimeInterval], names: Iterable[str], at: int) -> str | None:
    """Return the name of the first interval that contains a time (Unix ms), or None."""
    return next((name for name in names if intervals[name].contains(at)), None)


def is_within(ranges: Iterable[tuple[int, ...]], number: int) -> bool:
    """Return whether a range contains the number. Without ranges, every number is within."""
    ranges = tuple(ranges)
    return not ranges or any(first <= number <= last for first, last in ranges)
