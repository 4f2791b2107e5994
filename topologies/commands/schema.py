"""``driftwire schema``: export the message contracts, for producers and consumers in other languages."""

from importlib.metadata import version
from pathlib import Path

import click

from topologies.terminal import echo


@click.group("schema", short_help="Export the message contracts as JSON Schemas or AsyncAPI.")
def command() -> None:
    """Export the message contracts as JSON Schemas or as one AsyncAPI document."""


@command.command("export")
@click.option(
    "--asyncapi",
    is_flag=True,
    help="Write one AsyncAPI 3.0 document instead, with the topics, messages, examples and operations of an application.",
)
@click.argument("path", type=click.Path(path_type=Path))
def export_command(path: Path, *, asyncapi: bool) -> None:
    """Write one JSON Schema (2020-12) per message into the folder PATH.

    The schemas have a description of each field and the unit of each number. The AsyncAPI document is written to PATH if
    its name ends in .json, and to asyncapi.json in the folder PATH otherwise.
    """
    from schemas.asyncapi import export_asyncapi  # noqa: PLC0415  slow to import and not needed for --help
    from schemas.export import export_schemas  # noqa: PLC0415
    from topologies.errors import DriftwireError  # noqa: PLC0415

    try:
        written = [export_asyncapi(path, version("driftwire"))] if asyncapi else export_schemas(path)
    except OSError as error:
        raise DriftwireError(f"cannot write the schemas to {path}: {error.strerror}") from error
    for file in written:
        echo(file)
