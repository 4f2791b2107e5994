"""``driftwire incident review``: write a draft post-incident review and a chart of the evidence."""

import asyncio
import logging
import re
from pathlib import Path

import click

from schemas.incident import Incident
from schemas.topics import ALERTS
from topologies.commands.incidents import find_incident_id
from topologies.commands.running_options import cluster_options
from topologies.errors import DriftwireError
from topologies.incident_history import parse_incidents
from topologies.kafka import Cluster, read_topic
from topologies.terminal import echo

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
"""Characters that are replaced in the names of the files."""


@click.command("review")
@click.argument("incident_id", metavar="ID")
@click.option(
    "-o",
    "--output",
    "folder",
    default=".",
    show_default="the current folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the two files.",
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@cluster_options
def command(*, incident_id: str, folder: Path, force: bool, cluster: Cluster) -> None:
    """Write a draft review, review-ID.md, and a chart of the evidence, review-ID.svg.

    All content comes from the topics. The draft marks the parts that people must fill in.
    """
    from pipeline.review import draw_picture, write_review  # noqa: PLC0415  slow to import and not needed for --help
    from topologies.incident_history import read_review_material  # noqa: PLC0415

    # Log lines about fonts and folders do not help the reader of a review.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    revisions = asyncio.run(_revisions(cluster, incident_id))
    name = f"review-{_UNSAFE.sub('_', revisions[0].incident_id)}"
    draft, picture = folder / f"{name}.md", folder / f"{name}.svg"
    existing = [str(path) for path in (draft, picture) if path.exists()]
    if existing and not force:
        raise DriftwireError(
            f"refusing to overwrite {' and '.join(existing)}: use --force, or choose another folder with --output"
        )
    material = asyncio.run(read_review_material(cluster, revisions))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(draw_picture(material))
        draft.write_text(write_review(material, picture.name), "utf-8")
    except OSError as error:
        raise DriftwireError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    echo(f"{draft}: draft review, from revision {material.incident.revision} of {material.incident.incident_id}")
    echo(f"{picture}: chart of the evidence")
    if material.is_open:
        echo("the incident is still open: run this command again with --force once it is resolved", err=True)


async def _revisions(cluster: Cluster, incident_id: str) -> list[Incident]:
    """Return the revisions of the incident with this id, or of the only incident whose id starts with it."""
    revisions: dict[str, list[Incident]] = {}
    async for incident in parse_incidents(read_topic(cluster, ALERTS)):
        revisions.setdefault(incident.incident_id, []).append(incident)
    return revisions[find_incident_id(revisions, incident_id)]
