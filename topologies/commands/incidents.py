"""``driftwire incidents``: what is broken now, and with ``--follow`` what happens next."""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from typing import get_args

import click

from schemas.incident import Incident, Severity
from schemas.topics import ALERTS
from topologies.commands.options import bootstrap_option
from topologies.console import print_card
from topologies.interrupt import run_until_interrupted
from topologies.kafka import follow, incidents_in, read_all

CLOSED = ("resolved", "merged")


@click.command("incidents", short_help="Show incidents, and follow them.")
@click.option("--follow", "keep_following", is_flag=True, help="Stay, and show every further revision until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@click.option(
    "--severity", "severities", multiple=True, type=click.Choice(get_args(Severity)), help="Only this one; repeatable."
)
@click.option("--subject", "subjects", multiple=True, metavar="NAME", help="Only this one; repeatable.")
@click.option("--all", "show_all", is_flag=True, help="Resolved and merged ones too.")
@bootstrap_option
def command(
    *,
    keep_following: bool,
    as_json: bool,
    severities: tuple[str, ...],
    subjects: tuple[str, ...],
    show_all: bool,
    bootstrap: str,
) -> None:
    """Show the newest revision of every open incident: P1 first, and of one severity the oldest first."""

    def wanted(incident: Incident) -> bool:
        return (not severities or incident.severity in severities) and (not subjects or incident.subject in subjects)

    async def run() -> None:
        newest = await newest_revisions(bootstrap)
        shown = [one for one in newest.values() if wanted(one) and (show_all or one.status not in CLOSED)]
        for incident in sorted(shown, key=lambda one: (one.severity, one.started_at, one.incident_id)):
            _show(incident, as_json=as_json)
        if not shown:
            click.echo("no incidents" if show_all else "no open incidents", err=True)
        if keep_following:
            async for incident in revisions_after(bootstrap, newest):
                if wanted(incident):
                    _show(incident, as_json=as_json)

    if keep_following:
        run_until_interrupted(run())  # Ctrl-C is how one stops following
    else:
        asyncio.run(run())


async def newest_revisions(bootstrap: str) -> dict[str, Incident]:
    """Every incident that the alerts hold, by id, as it is now."""
    newest: dict[str, Incident] = {}
    async for incident in incidents_in(read_all(bootstrap, ALERTS)):
        known = newest.get(incident.incident_id)
        if known is None or incident.revision > known.revision:
            newest[incident.incident_id] = incident
    return newest


def known_id(known: Collection[str], incident_id: str) -> str:
    """The id of an incident by itself or its beginning, where no other begins so.

    Raises
    ------
    click.UsageError
        If there is none, or several.
    """
    if incident_id in known:
        return incident_id
    alike = sorted(each for each in known if each.startswith(incident_id)) if incident_id else []
    if not alike:
        raise click.UsageError(f"there is no incident {incident_id!r}: driftwire incidents --all shows what there is")
    if len(alike) > 1:
        raise click.UsageError(f"{incident_id!r} is the beginning of {len(alike)} ids: {', '.join(alike[:5])}")
    return alike[0]


async def revisions_after(bootstrap: str, newest: dict[str, Incident]) -> AsyncIterator[Incident]:
    """Each revision that is newer than what is known, as it comes, without a gap between; without an end."""
    seen = {incident_id: incident.revision for incident_id, incident in newest.items()}
    async with aclosing(follow(bootstrap, ALERTS, from_start=True)) as messages:
        async for incident in incidents_in(messages):
            if incident.revision > seen.get(incident.incident_id, 0):
                seen[incident.incident_id] = incident.revision
                yield incident


def _show(incident: Incident, *, as_json: bool) -> None:
    if as_json:
        click.echo(incident.to_json())
    else:
        print_card(incident, sys.stdout)
