"""Options and option types shared by several commands."""

import json
from pathlib import Path
from typing import Any

import click

from load.errors import LoadError


class Speed(click.ParamType):
    """Seconds of event time per second. The type converts ``max`` to 0, which means as fast as possible."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if value == "max":
            return 0.0
        try:
            speed = float(value)
        except ValueError:
            speed = -1.0
        if not 0 <= speed < float("inf"):
            self.fail(f"{value!r} is not a speed: use max or a number such as 60", param, ctx)
        return speed


json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report to this file as JSON.",
)


def write_json(path: Path | None, report: dict[str, Any]) -> None:
    """Write a report as JSON if ``path`` is not None.

    Raises
    ------
    LoadError
        If the file cannot be written.
    """
    if path is not None:
        write_bytes(path, (json.dumps(report, indent=2) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file.

    Raises
    ------
    LoadError
        If it cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise LoadError(f"{path}: cannot be written ({error.strerror})") from error
