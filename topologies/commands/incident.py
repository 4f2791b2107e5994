"""``driftwire incident``: show an incident, or update it with a command for correlate."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypedDict, Unpack, get_args
from uuid import uuid4

import click
from pydantic import ValidationError

from pipeline.correlate.incidents import IncidentStanding, refusal_reason
from pipeline.correlate.revision import add_drafts
from pipeline.wording import normal_phrase, quantity, signal_name
from schemas.command import Command
from schemas.incident import CLOSED, Audience, Incident, Resolution, Role, Severity
from schemas.timestamp import format_timestamp
from schemas.topics import COMMANDS
from topologies.commands.incidents import find_incident_id, read_newest_revisions
from topologies.commands.options import author_option, now_ms, usage_error
from topologies.commands.parameter_types import PastTime
from topologies.commands.review import command as review
from topologies.commands.running_options import cluster_options
from topologies.console import print_card, print_drafts, print_running_log
from topologies.kafka import Cluster, write_message
from topologies.terminal import echo, echo_json

NOTE = click.option("--note", metavar="TEXT", help="Reason to record in the running log.")
YES = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
NOT_ACCEPTED = ("first_seen", "limit", "silence")
"""Detectors whose drifts have no level that could be normal."""

INCIDENT = click.argument("incident_id", metavar="ID")
AT = click.option("--at", type=PastTime(), help="Time of the action: RFC 3339 or Unix ms.  [default: now]")


class CommandOptions(TypedDict):
    """Options of every command that updates an incident: time, author and Kafka address."""

    at: int | None
    author: str
    cluster: Cluster


def command_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options in :class:`CommandOptions`."""
    return AT(author_option(cluster_options(function)))


@click.group("incident", short_help="Show or update an incident.")
def command() -> None:
    """Show or update an incident.

    ID is the id of the incident, or a prefix that matches no other incident.
    """


command.add_command(review)


@command.command("show")
@INCIDENT
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--drafts",
    is_flag=True,
    help="Show the draft messages for leadership and users instead. Check each message before you send it.",
)
@cluster_options
def show(incident_id: str, as_json: bool, drafts: bool, cluster: Cluster) -> None:
    """Show the newest revision and the running log."""
    incident = _find_incident(asyncio.run(read_newest_revisions(cluster)), incident_id)
    if as_json:
        echo_json(add_drafts(incident).to_json())
        return
    if drafts:
        print_drafts(add_drafts(incident), sys.stdout)
        return
    print_card(incident, sys.stdout)
    print_running_log(incident, sys.stdout)


@command.command("ack")
@INCIDENT
@NOTE
@command_options
def acknowledge(incident_id: str, note: str | None, **options: Unpack[CommandOptions]) -> None:
    """Acknowledge the incident: somebody is working on it.

    Prints a notice if somebody else has already acknowledged it. The new acknowledgement replaces the earlier one.
    """
    _send(incident_id, action="acknowledge", note=note, **options)


@command.command("unack")
@INCIDENT
@NOTE
@command_options
def unacknowledge(incident_id: str, note: str | None, **options: Unpack[CommandOptions]) -> None:
    """Withdraw the acknowledgement: nobody is working on the incident. Escalations begin again."""
    _send(incident_id, action="unacknowledge", note=note, **options)


@command.command("classify")
@INCIDENT
@click.argument("severity", type=click.Choice(get_args(Severity)))
@NOTE
@command_options
def classify(incident_id: str, severity: str, note: str | None, **options: Unpack[CommandOptions]) -> None:
    """Set the severity. A severity set by a person overrides the rules."""
    _send(incident_id, action="classify", severity=severity, note=note, **options)


@command.command("assign")
@INCIDENT
@click.argument("assignee", metavar="NAME")
@click.option(
    "--role", type=click.Choice(get_args(Role)), default="commander", show_default=True, help="Role to assign."
)
@NOTE
@command_options
def assign(incident_id: str, assignee: str, role: str, note: str | None, **options: Unpack[CommandOptions]) -> None:
    """Assign a role to NAME, replacing the current holder."""
    _send(incident_id, action="assign", assignee=assignee, role=role, note=note, **options)


@command.command("note")
@INCIDENT
@click.argument("text")
@click.option(
    "--communicated", type=click.Choice(get_args(Audience)), help="Also record that this audience has been informed."
)
@command_options
def note(incident_id: str, text: str, communicated: str | None, **options: Unpack[CommandOptions]) -> None:
    """Add a line to the running log."""
    _send(incident_id, action="note", note=text, communicated=communicated, **options)


@command.command("mitigate")
@INCIDENT
@NOTE
@command_options
def mitigate(incident_id: str, note: str | None, **options: Unpack[CommandOptions]) -> None:
    """Mark the incident as mitigated: the harm is contained, although signals may still be abnormal.

    The incident reopens when a signal joins it or gets worse.
    """
    _send(incident_id, action="mitigate", note=note, **options)


@command.command("resolve")
@INCIDENT
@click.option(
    "--as",
    "resolved_as",
    type=click.Choice(get_args(Resolution)),
    help="What the incident was. The review and driftwire report show it.",
)
@NOTE
@YES
@command_options
def resolve(
    incident_id: str, resolved_as: str | None, note: str | None, yes: bool, **options: Unpack[CommandOptions]
) -> None:
    """Resolve the incident.

    With --as, also record whether it was a failure, a false alarm or an expected change. This is also possible after the
    incident has been resolved. The signals of an incident that a person resolved are no longer followed. If signals are still abnormal, the command
    names them and asks for confirmation. Without a terminal, it then needs --yes.
    """
    _send(incident_id, action="resolve", resolved_as=resolved_as, note=note, is_confirmed=yes, **options)


@command.command("reopen")
@INCIDENT
@NOTE
@command_options
def reopen(incident_id: str, note: str | None, **options: Unpack[CommandOptions]) -> None:
    """Reopen a mitigated or resolved incident."""
    _send(incident_id, action="reopen", note=note, **options)


@command.command("merge")
@INCIDENT
@click.argument("into", metavar="INTO")
@NOTE
@command_options
def merge(incident_id: str, into: str, note: str | None, **options: Unpack[CommandOptions]) -> None:
    """Merge the incident into INTO, which then represents both incidents.

    INTO is another incident of the same subject, or an incident of many subjects.
    """
    _send(incident_id, action="merge", into=into, note=note, **options)


@command.command("unmerge")
@INCIDENT
@NOTE
@command_options
def unmerge(incident_id: str, note: str | None, **options: Unpack[CommandOptions]) -> None:
    """Separate the incident from the incident into which it was merged."""
    _send(incident_id, action="unmerge", note=note, **options)


@command.command("accept")
@INCIDENT
@NOTE
@YES
@command_options
def accept(incident_id: str, note: str | None, yes: bool, **options: Unpack[CommandOptions]) -> None:
    """Resolve the incident and accept the changed signals as the new normal.

    Shows the accepted levels and asks for confirmation. Without a terminal, the command needs --yes. The levels are
    normal at once, and the signals are then relearned. If a signal moves further, it is reported again.
    """
    _send(incident_id, action="accept", note=note, is_confirmed=yes, **options)


def _send(
    incident_id: str,
    *,
    cluster: Cluster,
    author: str,
    at: int | None,
    into: str | None = None,
    is_confirmed: bool = False,
    **fields: Any,
) -> None:
    """Check a command against the known incidents, ask if it needs confirmation, write it, and print a summary."""
    now = now_ms() if at is None else at
    make_command = partial(Command, command_id=f"cmd-{uuid4().hex}", at=now, author=author, **fields)
    try:
        make_command(incident_id="", into=into)
    except ValidationError as error:  # check the fields before Kafka is read
        raise usage_error(error) from error
    newest = asyncio.run(read_newest_revisions(cluster))
    target = None if into is None else _find_incident(newest, into).incident_id
    incident = _find_incident(newest, incident_id)
    sent = make_command(incident_id=incident.incident_id, into=target)
    problem = refusal_reason(sent, {name: IncidentStanding.from_revision(known) for name, known in newest.items()})
    if problem is not None:
        raise click.UsageError(problem)
    notice = acknowledgement_notice(sent, incident)
    if notice is not None:
        echo(notice, err=True)
    for line in accepted_lines(sent, incident):
        echo(line, err=True)
    warning = ending_warning(sent, incident)
    if warning is not None and not is_confirmed:
        _confirm(sent.action, warning)
    asyncio.run(write_message(cluster, COMMANDS, incident.incident_id.encode(), sent.to_json()))
    details = (sent.severity, sent.resolved_as, sent.assignee, sent.role and sent.role.replace("_", " "), sent.into)
    summary = " ".join(part for part in (sent.action, sent.incident_id, *details) if part)
    echo(f"{summary}, by {sent.author} at {format_timestamp(sent.at)} ({sent.command_id})")


def acknowledgement_notice(request: Command, incident: Incident) -> str | None:
    """Return a notice if the command acknowledges an incident that somebody else has acknowledged, or None."""
    holder = incident.acknowledged_by
    if request.action != "acknowledge" or holder in (None, request.author):
        return None
    if any(entry.event == "acknowledge" and entry.at > request.at for entry in incident.log):
        return f"{incident.incident_id} was acknowledged later by {holder}; this acknowledgement is only logged"
    return f"{incident.incident_id} was already acknowledged by {holder}; this acknowledgement replaces theirs"


def accepted_lines(request: Command, incident: Incident) -> list[str]:
    """Return what a command accepts as normal, one line per signal: from what was normal to what is."""
    if request.action != "accept":
        return []
    moved = [line for line in incident.evidence if line.state == "firing" and line.detector not in NOT_ACCEPTED]
    if not moved:
        return ["no signal is abnormal: nothing is accepted as normal"]
    return [
        f"accepted as normal: {signal_name(line)} {quantity(line.now, line.unit, line.channel)}, "
        f"{normal_phrase(line.normal, line.unit, line.channel)}"
        for line in moved
    ]


def ending_warning(request: Command, incident: Incident) -> str | None:
    """Return a warning if the command ends an incident for good although that may be a mistake, or None."""
    abnormal = sorted(
        {line.signal for line in incident.evidence if line.state == "firing" and line.detector != "first_seen"}
    )
    if request.action == "accept":
        return f"{incident.incident_id} ends, and its changed signals are relearned as the new normal"
    if request.action == "resolve" and incident.status not in CLOSED and abnormal:
        return f"signals of {incident.incident_id} are still abnormal and would no longer be followed: {', '.join(abnormal)}"
    return None


def _confirm(action: str, warning: str) -> None:
    """Ask on a terminal whether to go on after a warning. Elsewhere, refuse."""
    if not (sys.stdin and sys.stdin.isatty()):  # a closed standard input is None
        raise click.UsageError(f"{warning}. Without a terminal, add --yes to {action} it")
    echo(warning, err=True)
    click.confirm(f"{action.capitalize()} it?", abort=True, err=True)


def _find_incident(newest: Mapping[str, Incident], incident_id: str) -> Incident:
    """Return the incident with this id, or the only incident whose id starts with it."""
    return newest[find_incident_id(newest, incident_id)]
