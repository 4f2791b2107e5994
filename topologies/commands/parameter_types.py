"""Option types that several commands share: durations and points in time."""

import re
import time
from typing import Any

import click

from pipeline.wording import duration
from schemas.message import AHEAD_MAX_MS
from schemas.timestamp import format_timestamp, parse_timestamp

_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)", re.ASCII)


class Duration(click.ParamType):
    """A duration in seconds, written as 90, 90s, 30m, 2h or 1d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is not a duration: use 90s, 30m, 2h or 1d", param, ctx)
        return float(match[1]) * _UNITS_S[match[2]]


class PointInTime(click.ParamType):
    """A time as RFC 3339 with an offset or as Unix milliseconds, converted to Unix milliseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_timestamp(int(value) if isinstance(value, str) and value.isdecimal() else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class PastTime(PointInTime):
    """A time of something that has happened. A time far ahead of this computer's clock is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        at = super().convert(value, param, ctx)
        if at > time.time() * 1000 + AHEAD_MAX_MS:
            limit = duration(AHEAD_MAX_MS / 1000)
            self.fail(
                f"{format_timestamp(at)} is more than {limit} ahead of this computer's clock: give a time that has "
                f"passed, or correct the clock",
                param,
                ctx,
            )
        return at
