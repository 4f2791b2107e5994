"""``driftwire incident``: look at one incident, or say something of it. What is said is a command to correlate."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypedDict, Unpack, get_args
from uuid import uuid4

import click
from pydantic import ValidationError

from pipeline.correlate.incidents import Standing, incomplete, refusal
from schemas.command import Command
from schemas.incident import Audience, Incident, Role, Severity
from schemas.timestamp import format_timestamp
from schemas.topics import COMMANDS
from topologies.commands.incidents import known_id, newest_revisions
from topologies.commands.options import author_option, bootstrap_option, now_ms, wrong_use
from topologies.commands.review import command as review
from topologies.commands.values import PointInTime
from topologies.console import print_card, print_drafts, print_log
from topologies.kafka import write

NOTE = click.option("--note", metavar="TEXT", help="Why, for the running log.")
INCIDENT = click.argument("incident_id", metavar="ID")
AT = click.option("--at", type=PointInTime(), help="When it was: RFC 3339, or Unix ms.  [default: now]")


class Said(TypedDict):
    """Who says something, when that was, and where Kafka is."""

    at: int | None
    author: str
    bootstrap: str


def said(function: Callable[..., None]) -> Callable[..., None]:
    """The options of all that can be said of an incident."""
    return AT(author_option(bootstrap_option(function)))


@click.group("incident", short_help="Show one incident, or say something of it.")
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
    incident = _find(asyncio.run(newest_revisions(bootstrap)), incident_id)
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
@said
def acknowledge(incident_id: str, note: str | None, **by: Unpack[Said]) -> None:
    """Say that you are on it."""
    _say(incident_id, action="acknowledge", note=note, **by)


@command.command("classify")
@INCIDENT
@click.argument("severity", type=click.Choice(get_args(Severity)))
@NOTE
@said
def classify(incident_id: str, severity: str, note: str | None, **by: Unpack[Said]) -> None:
    """Set the severity; a person's word stands over the rules'."""
    _say(incident_id, action="classify", severity=severity, note=note, **by)


@command.command("assign")
@INCIDENT
@click.argument("assignee", metavar="NAME")
@click.option("--role", type=click.Choice(get_args(Role)), default="commander", show_default=True, help="Which role.")
@NOTE
@said
def assign(incident_id: str, assignee: str, role: str, note: str | None, **by: Unpack[Said]) -> None:
    """Give somebody a role in it; who had the role before has it no more."""
    _say(incident_id, action="assign", assignee=assignee, role=role, note=note, **by)


@command.command("note")
@INCIDENT
@click.argument("text")
@click.option(
    "--communicated", type=click.Choice(get_args(Audience)), help="Also: these people have now been told of it."
)
@said
def note(incident_id: str, text: str, communicated: str | None, **by: Unpack[Said]) -> None:
    """Add a line to its running log."""
    _say(incident_id, action="note", note=text, communicated=communicated, **by)


@command.command("mitigate")
@INCIDENT
@NOTE
@said
def mitigate(incident_id: str, note: str | None, **by: Unpack[Said]) -> None:
    """Say that the harm is contained, though signals may still be off; until more goes wrong."""
    _say(incident_id, action="mitigate", note=note, **by)


@command.command("resolve")
@INCIDENT
@NOTE
@said
def resolve(incident_id: str, note: str | None, **by: Unpack[Said]) -> None:
    """Close it."""
    _say(incident_id, action="resolve", note=note, **by)


@command.command("reopen")
@INCIDENT
@NOTE
@said
def reopen(incident_id: str, note: str | None, **by: Unpack[Said]) -> None:
    """Take back that it is mitigated or resolved."""
    _say(incident_id, action="reopen", note=note, **by)


@command.command("merge")
@INCIDENT
@click.argument("into", metavar="INTO")
@NOTE
@said
def merge(incident_id: str, into: str, note: str | None, **by: Unpack[Said]) -> None:
    """Say that it is the same as another one of its subject, or part of one of many subjects: INTO tells it from now on."""
    _say(incident_id, action="merge", into=into, note=note, **by)


@command.command("unmerge")
@INCIDENT
@NOTE
@said
def unmerge(incident_id: str, note: str | None, **by: Unpack[Said]) -> None:
    """Take it out of the one that it is merged into."""
    _say(incident_id, action="unmerge", note=note, **by)


@command.command("accept")
@INCIDENT
@NOTE
@said
def accept(incident_id: str, note: str | None, **by: Unpack[Said]) -> None:
    """Close it, and accept what moved as the new normal."""
    _say(incident_id, action="accept", note=note, **by)


def _say(
    incident_id: str, *, bootstrap: str, author: str, at: int | None, into: str | None = None, **fields: Any
) -> None:
    """Write a command of an incident that exists, if it makes sense as things are, and print what was written."""
    now = now_ms() if at is None else at
    make = partial(Command, command_id=f"cmd-{uuid4().hex}", at=now, author=author, **fields)
    try:
        make(incident_id="", into=into)
    except ValidationError as error:  # before anything is asked of Kafka
        raise wrong_use(error) from error

    async def run() -> Command:
        newest = await newest_revisions(bootstrap)
        target = None if into is None else _find(newest, into).incident_id
        said = make(incident_id=_find(newest, incident_id).incident_id, into=target)
        known = {each: Standing.of_incident(incident) for each, incident in newest.items()}
        problem = incomplete(said) or refusal(said, known)
        if problem is not None:
            raise click.UsageError(problem)
        await write(bootstrap, COMMANDS, (said.incident_id or "").encode(), said.to_json())
        return said

    said = asyncio.run(run())
    details = (said.severity, said.assignee, said.role and said.role.replace("_", " "), said.into)
    what = " ".join(part for part in (said.action, said.incident_id, *details) if part)
    click.echo(f"{what}, by {said.author} at {format_timestamp(said.at)} ({said.command_id})")


def _find(newest: Mapping[str, Incident], incident_id: str) -> Incident:
    """The incident with this id, or the only one whose id begins so."""
    return newest[known_id(newest, incident_id)]
