"""``driftwire incident review``: the draft of a post-incident review, and the picture of its evidence beside it."""

import asyncio
import logging
import re
from pathlib import Path

import click

from schemas.incident import Incident
from schemas.topics import ALERTS
from topologies.commands.incidents import known_id
from topologies.commands.options import bootstrap_option
from topologies.errors import Failure
from topologies.kafka import incidents_in, read_all

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
"""What does not go into the name of a file."""


@click.command("review")
@click.argument("incident_id", metavar="ID")
@click.option(
    "-o",
    "--output",
    "folder",
    default=".",
    show_default="the current one",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for the two files.",
)
@click.option("--force", is_flag=True, help="Write over a draft that is there.")
@bootstrap_option
def command(*, incident_id: str, folder: Path, force: bool, bootstrap: str) -> None:
    """Write the draft of a post-incident review, review-ID.md, and a picture of the evidence, review-ID.svg.

    Everything in it comes from the topics; what no message says is marked, for people to fill in.
    """
    from pipeline.review.picture import plot  # noqa: PLC0415  slow to import, and --help needs none of it
    from pipeline.review.review import review  # noqa: PLC0415
    from topologies.kafka import material_of  # noqa: PLC0415

    # What it says of its fonts and folders is nothing that a reader of a review can act on.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    revisions = asyncio.run(_revisions(bootstrap, incident_id))
    name = f"review-{_UNSAFE.sub('_', revisions[0].incident_id)}"
    draft, picture = folder / f"{name}.md", folder / f"{name}.svg"
    there = [str(path) for path in (draft, picture) if path.exists()]
    if there and not force:
        raise Failure(f"{' and '.join(there)} is there already: --force writes over it, --output names another folder")
    material = asyncio.run(material_of(bootstrap, revisions))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(plot(material))
        draft.write_text(review(material, picture.name), "utf-8")
    except OSError as error:
        raise Failure(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    click.echo(f"{draft}: the draft, from revision {material.incident.revision} of {material.incident.incident_id}")
    click.echo(f"{picture}: the picture in it")
    if material.is_open:
        click.echo("the incident is still open: write the draft again with --force when it is resolved", err=True)


async def _revisions(bootstrap: str, incident_id: str) -> list[Incident]:
    """The revisions that the alerts hold of the incident with this id, or of the only one whose id begins so."""
    found: dict[str, list[Incident]] = {}
    async for incident in incidents_in(read_all(bootstrap, ALERTS)):
        found.setdefault(incident.incident_id, []).append(incident)
    return found[known_id(found, incident_id)]
