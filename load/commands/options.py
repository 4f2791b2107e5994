"""Options and types that several commands share."""

import json
import re
from pathlib import Path
from typing import Any

import click

from load.errors import LoadError
from schemas.timestamp import parse_timestamp

_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)", re.ASCII)


class Duration(click.ParamType):
    """A duration in seconds, written as 90, 90s, 30m, 2h or 1d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = _DURATION.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no duration: write 90s, 30m, 2h or 1d", param, ctx)
        return float(found[1]) * _UNITS_S[found[2]]


class Speed(click.ParamType):
    """Seconds of event time a second; 0, written ``max``, is as fast as possible."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if value == "max":
            return 0.0
        try:
            speed = float(value)
        except ValueError:
            speed = -1.0
        if not 0 <= speed < float("inf"):
            self.fail(f"{value!r} is no speed: write max, or a number such as 60", param, ctx)
        return speed


class Moment(click.ParamType):
    """A point in time in Unix ms, written in RFC 3339 or as Unix ms."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_timestamp(int(value) if str(value).isdigit() else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


json_option = click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the report there, as JSON."
)


def write_json(path: Path | None, report: dict[str, Any]) -> None:
    """Write a report, if one was asked for.

    Raises
    ------
    LoadError
        If the file cannot be written.
    """
    if path is None:
        return
    try:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise LoadError(f"{path}: cannot be written ({error.strerror})") from error
