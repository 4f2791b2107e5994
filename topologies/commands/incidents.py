"""``driftwire incidents``: show the open incidents and, with ``--follow``, every later revision."""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from typing import get_args

import click

from schemas.incident import CLOSED, Incident, Severity
from schemas.topics import ALERTS
from topologies.commands.options import find_id
from topologies.commands.running_options import cluster_options
from topologies.console import print_card
from topologies.incident_history import parse_incidents
from topologies.interrupt import run_until_interrupted
from topologies.kafka import Cluster, follow_topic, read_topic
from topologies.terminal import echo, echo_json


@click.command("incidents", short_help="Show open incidents and follow their changes.")
@click.option("--follow", "is_following", is_flag=True, help="Show each new revision until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option(
    "--severity",
    "severities",
    multiple=True,
    type=click.Choice(get_args(Severity)),
    help="Show only this severity. Repeatable.",
)
@click.option("--subject", "subjects", multiple=True, metavar="NAME", help="Show only this subject. Repeatable.")
@click.option("--all", "show_all", is_flag=True, help="Include resolved and merged incidents.")
@cluster_options
def command(
    *,
    is_following: bool,
    as_json: bool,
    severities: tuple[str, ...],
    subjects: tuple[str, ...],
    show_all: bool,
    cluster: Cluster,
) -> None:
    """Show the newest revision of every open incident.

    Incidents are sorted by severity, P1 first, then by start time, oldest first.
    """

    def matches(incident: Incident) -> bool:
        return (not severities or incident.severity in severities) and (not subjects or incident.subject in subjects)

    async def run() -> None:
        newest = await read_newest_revisions(cluster)
        shown = [
            incident
            for incident in newest.values()
            if matches(incident) and (show_all or incident.status not in CLOSED)
        ]
        for incident in sorted(shown, key=_severity_and_start):
            _print(incident, as_json=as_json)
        if not shown:
            echo("no incidents" if show_all else "no open incidents", err=True)
        if is_following:
            async for incident in follow_revisions(cluster, newest):
                if matches(incident):
                    _print(incident, as_json=as_json)

    if is_following:
        run_until_interrupted(run())  # Ctrl-C is the normal way to stop following
    else:
        asyncio.run(run())


async def read_newest_revisions(cluster: Cluster) -> dict[str, Incident]:
    """Return the newest revision of every incident on the alerts topic, by id."""
    newest: dict[str, Incident] = {}
    async for incident in parse_incidents(read_topic(cluster, ALERTS)):
        known = newest.get(incident.incident_id)
        if known is None or incident.revision > known.revision:
            newest[incident.incident_id] = incident
    return newest


def find_incident_id(known: Collection[str], incident_id: str) -> str:
    """Return the id of the incident with this id or prefix. See :func:`find_id`."""
    return find_id(known, incident_id, noun="incident", list_command="driftwire incidents --all")


async def follow_revisions(cluster: Cluster, newest: dict[str, Incident]) -> AsyncIterator[Incident]:
    """Yield every revision that is newer than the revisions in ``newest``, indefinitely and without gaps."""
    last_revisions = {incident_id: incident.revision for incident_id, incident in newest.items()}
    async with aclosing(follow_topic(cluster, ALERTS, from_start=True)) as messages:
        async for incident in parse_incidents(messages):
            if incident.revision > last_revisions.get(incident.incident_id, 0):
                last_revisions[incident.incident_id] = incident.revision
                yield incident


def _severity_and_start(incident: Incident) -> tuple[str, int, str]:
    return incident.severity, incident.started_at, incident.incident_id


def _print(incident: Incident, *, as_json: bool) -> None:
    if as_json:
        echo_json(incident.to_json())
    else:
        print_card(incident, sys.stdout)
