"""``driftwire incidents``: list the open incidents, or show some, and with ``--follow`` every later revision."""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from typing import get_args

import click

from pipeline.correlate.revision import add_drafts
from schemas.incident import CLOSED, Incident, Severity
from schemas.topics import ALERTS
from topologies.commands.options import find_id, now_ms
from topologies.commands.running_options import cluster_options
from topologies.console import print_card, print_incidents
from topologies.incident_history import parse_incidents
from topologies.interrupt import run_until_interrupted
from topologies.kafka import Cluster, follow_topic, read_topic
from topologies.terminal import echo, echo_json


@click.command("incidents", short_help="List open incidents, show them, and follow their changes.")
@click.argument("incident_ids", metavar="[ID]...", nargs=-1)
@click.option("--follow", "is_following", is_flag=True, help="Show the card of each new revision until Ctrl-C.")
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
    incident_ids: tuple[str, ...],
    is_following: bool,
    as_json: bool,
    severities: tuple[str, ...],
    subjects: tuple[str, ...],
    show_all: bool,
    cluster: Cluster,
) -> None:
    """List the open incidents, or show the card of each ID.

    Incidents are sorted by severity, P1 first, then by start time, oldest first. ID is the id of an incident, open or
    not, or a prefix that matches no other incident.
    """
    chosen: set[str] = set()

    def matches(incident: Incident) -> bool:
        return (
            (not severities or incident.severity in severities)
            and (not subjects or incident.subject in subjects)
            and (not chosen or incident.incident_id in chosen)
        )

    async def run() -> None:
        newest = await read_newest_revisions(cluster)
        chosen.update(find_incident_id(newest, incident_id) for incident_id in incident_ids)
        shown = [one for one in newest.values() if matches(one) and (show_all or chosen or one.status not in CLOSED)]
        shown.sort(key=_severity_and_start)
        if not shown:
            echo("no incidents" if show_all or chosen else "no open incidents", err=True)
        elif as_json or chosen:
            _print(*shown, as_json=as_json)
        else:
            print_incidents(shown, now_ms(), sys.stdout)
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


def _print(*incidents: Incident, as_json: bool) -> None:
    for incident in incidents:
        if as_json:
            echo_json(add_drafts(incident).to_json())
        else:
            print_card(incident, sys.stdout)
