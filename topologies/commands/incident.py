"""``driftwire incident``: look at one incident, or say something of it. What is said is a command to correlate."""

import asyncio
import sys
from functools import partial
from typing import Any, get_args
from uuid import uuid4

import click
from pydantic import ValidationError

from schemas.command import Command
from schemas.incident import Incident, Severity
from schemas.timestamp import format_timestamp
from schemas.topics import COMMANDS
from topologies.cards import print_card, print_drafts, print_log
from topologies.client import write
from topologies.commands.incidents import known_id, newest_revisions
from topologies.commands.options import author_option, bootstrap_option, now_ms, wrong_use
from topologies.commands.review import command as review

NOTE = click.option("--note", metavar="TEXT", help="Why, for the running log.")
INCIDENT = click.argument("incident_id", metavar="ID")


@click.group("incident", short_help="Show one incident, or acknowledge, classify, assign, resolve, accept it.")
def command() -> None:
    """Look at one incident, or say something of it.

    ID is the incident's id, or the beginning of it where no other begins so.
    """


command.add_command(review)


@command.command("show")
@INCIDENT
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--drafts", is_flag=True, help="The drafts for leadership and users instead, to check and paste.")
@bootstrap_option
def show(incident_id: str, as_json: bool, drafts: bool, bootstrap: str) -> None:
    """Show the newest revision, with its running log."""
    incident = asyncio.run(_find(bootstrap, incident_id))
    if as_json:
        click.echo(incident.to_json())
        return
    if drafts:
        print_drafts(incident, sys.stdout)
        return
    print_card(incident, sys.stdout)
    print_log(incident, sys.stdout)


@command.command("ack")
@INCIDENT
@NOTE
@author_option
@bootstrap_option
def acknowledge(incident_id: str, note: str | None, author: str, bootstrap: str) -> None:
    """Say that you are on it."""
    _say(bootstrap, incident_id, action="acknowledge", author=author, note=note)


@command.command("classify")
@INCIDENT
@click.argument("severity", type=click.Choice(get_args(Severity)))
@NOTE
@author_option
@bootstrap_option
def classify(incident_id: str, severity: str, note: str | None, author: str, bootstrap: str) -> None:
    """Set the severity; a person's word stands over the rules'."""
    _say(bootstrap, incident_id, action="classify", severity=severity, author=author, note=note)


@command.command("assign")
@INCIDENT
@click.argument("assignee", metavar="NAME")
@NOTE
@author_option
@bootstrap_option
def assign(incident_id: str, assignee: str, note: str | None, author: str, bootstrap: str) -> None:
    """Name its commander."""
    _say(bootstrap, incident_id, action="assign", assignee=assignee, author=author, note=note)


@command.command("resolve")
@INCIDENT
@NOTE
@author_option
@bootstrap_option
def resolve(incident_id: str, note: str | None, author: str, bootstrap: str) -> None:
    """Close it."""
    _say(bootstrap, incident_id, action="resolve", author=author, note=note)


@command.command("accept")
@INCIDENT
@NOTE
@author_option
@bootstrap_option
def accept(incident_id: str, note: str | None, author: str, bootstrap: str) -> None:
    """Close it, and accept what moved as the new normal."""
    _say(bootstrap, incident_id, action="accept", author=author, note=note)


def _say(bootstrap: str, incident_id: str, **fields: Any) -> None:
    """Write a command of an incident that exists, and print what was written."""
    make = partial(Command, command_id=f"cmd-{uuid4().hex}", at=now_ms(), **fields)
    try:
        make(incident_id="")
    except ValidationError as error:  # before anything is asked of Kafka
        raise wrong_use(error) from error

    async def run() -> Command:
        said = make(incident_id=(await _find(bootstrap, incident_id)).incident_id)
        await write(bootstrap, COMMANDS, (said.incident_id or "").encode(), said.to_json())
        return said

    said = asyncio.run(run())
    what = " ".join(part for part in (said.action, said.incident_id, said.severity, said.assignee) if part)
    click.echo(f"{what}, by {said.author} at {format_timestamp(said.at)} ({said.command_id})")


async def _find(bootstrap: str, incident_id: str) -> Incident:
    """The incident with this id, or the only one whose id begins so."""
    newest = await newest_revisions(bootstrap)
    return newest[known_id(newest, incident_id)]
