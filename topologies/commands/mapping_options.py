"""Options of the mapping from fields of a source to fields of a record, which several commands share."""

import functools
from collections.abc import Callable
from typing import Any

import click

from pipeline.wording import one_line

_OPTIONS = (
    click.option(
        "--map",
        "mapped",
        multiple=True,
        metavar="SOURCE=FIELD[:UNIT]",
        help="Map a column or path of the source to a field, with the unit of the source if it differs, such as "
        "usage.latency=latency_ms:s. Repeatable.",
    ),
    click.option(
        "--absent",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Value of the source that stands for a missing value, such as latency_ms=-1. Repeatable.",
    ),
    click.option(
        "--constant",
        "constants",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Value that every record gets, such as environment=production. Repeatable.",
    ),
    click.option(
        "--subject",
        default="",
        metavar="NAME",
        help="Subject of the records: a name, or a rule with sources in braces, such as {app}-{endpoint}.",
    ),
    click.option(
        "--time-zone",
        default="",
        metavar="NAME",
        help="Time zone for times without an offset from UTC, such as Australia/Sydney.  [default: detect.time_zone]",
    ),
)


def mapping_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a mapping, and pass the :class:`MappingSettings` that they give as ``mapping``."""

    @functools.wraps(function)
    def command(
        *arguments: Any,
        mapped: tuple[str, ...],
        absent: tuple[str, ...],
        constants: tuple[str, ...],
        subject: str,
        time_zone: str,
        **options: Any,
    ) -> None:
        from pipeline.intake import MappingSettings  # noqa: PLC0415  slow to import and not needed for --help

        try:
            mapping = MappingSettings.from_options(
                map=mapped, absent=absent, constants=constants, subject=subject, time_zone=time_zone
            )
        except ValueError as error:
            raise click.UsageError(one_line(error).removeprefix("Value error, ")) from None
        function(*arguments, mapping=mapping, **options)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command
