"""``driftwire status``: show which records arrive, and what detect does with them."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import click
import orjson

from topologies.commands.options import now_ms
from topologies.commands.running_options import configuration_options
from topologies.terminal import echo, echo_json

if TYPE_CHECKING:
    from topologies.configuration import Configuration


@click.command("status", short_help="Show which records arrive, and what detect does with them.")
@click.option("--subject", metavar="NAME", help="Show only this subject, with its dropped fields.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@configuration_options
def command(*, subject: str | None, as_json: bool, configuration: "Configuration") -> None:
    """Show which records arrive, and what detect does with them.

    Prints one row per subject: the numbers of records, bad fields and duplicates, the age of the last record, and the
    state. The state shows the progress of learning and when the baseline will be ready, or since when the subject is
    monitored. Also prints the dead letters and the records that detect has not read. The counts are those of the last
    checkpoint. Times are in UTC.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import and not needed for --help

    from topologies.status import read_status, render_status, status_json  # noqa: PLC0415

    status = asyncio.run(read_status(configuration.kafka.cluster, configuration.detect))
    if subject is not None:
        status = replace(status, subjects=[found for found in status.subjects if found.subject == subject])
    if as_json:
        echo_json(orjson.dumps(status_json(status)))
        return
    if not (status.subjects or status.waiting or status.records):
        what = "no records yet" if subject is None else f"no records of {subject} yet"
        echo(f"{what} at {status.kafka}: send one, as docs/connect.md shows")
        return
    if subject is not None and not status.subjects:
        echo(f"detect has read no records of {subject} at {status.kafka}: check the name with driftwire status")
    Console().print(render_status(status, configuration.detect, now_ms(), details=subject is not None))
