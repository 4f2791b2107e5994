"""``driftwire schema``: export the message contracts as JSON Schemas, for producers and consumers in other languages."""

from pathlib import Path

import click

from topologies.terminal import echo


@click.group("schema", short_help="Export the message contracts as JSON Schemas.")
def command() -> None:
    """Export the message contracts as JSON Schemas."""


@command.command("export")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def export_command(directory: Path) -> None:
    """Write one JSON Schema (2020-12) per message into DIRECTORY."""
    from schemas.export import export_schemas  # noqa: PLC0415  slow to import and not needed for --help
    from topologies.errors import DriftwireError  # noqa: PLC0415

    try:
        written = export_schemas(directory)
    except OSError as error:
        raise DriftwireError(f"cannot write the schemas to {directory}: {error.strerror}") from error
    for path in written:
        echo(path)
