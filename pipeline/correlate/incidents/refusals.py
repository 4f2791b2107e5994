"""Refusals: why a command cannot be followed, in words for the person who gave it.

Asked twice: before a command is written, of the incidents as readers know them, and when correlate takes it, of what it
knows by then.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.correlate.incidents.facts import IncidentState
from schemas.command import Command
from schemas.incident import Incident, IncidentStatus


@dataclass(frozen=True, slots=True)
class IncidentStanding:
    """What of an incident decides whether a command about it makes sense."""

    incident_id: str
    subject: str
    status: IncidentStatus
    merged_into: str | None
    is_parent: bool
    is_emptied: bool

    @classmethod
    def of_facts(cls, facts: IncidentState) -> "IncidentStanding":
        """Of an incident as correlate knows it, with what is merged into it."""
        into, is_parent = facts.membership.into, facts.membership.scope is not None
        return cls(facts.incident_id, facts.subject, facts.status, into, is_parent, not facts.tracked)

    @classmethod
    def of_incident(cls, incident: Incident) -> "IncidentStanding":
        """Of a revision, as readers know it."""
        into, is_parent, is_emptied = incident.merged_into, bool(incident.children), not incident.subject_count
        return cls(incident.incident_id, incident.subject, incident.status, into, is_parent, is_emptied)


def missing_field(command: Command) -> str | None:
    """What a command lacks; None if it says all that its action needs.

    >>> incomplete(Command(command_id="c-1", at=1795489920000, author="ann", action="merge", incident_id="inc-1"))
    'the command "merge" needs the incident to merge into'
    """
    needs = {
        "classify": (command.severity, "a severity: P1, P2, P3 or P4"),
        "assign": (command.assignee, "an assignee: name who takes the role"),
        "note": (command.note, "a note: the line for the running log"),
        "merge": (command.into, "the incident to merge into"),
    }
    if command.incident_id is None:
        return f'the command "{command.action}" needs an incident_id: name the incident it is about'
    given, need = needs.get(command.action, ("nothing", ""))
    return None if given else f'the command "{command.action}" needs {need}'


def refusal_reason(command: Command, known: Mapping[str, IncidentStanding]) -> str | None:
    """Why a complete command cannot be followed; None if it can.

    Parameters
    ----------
    command
        About an incident, of any action but silence.
    known
        The incidents, by id: at least those that the command names and those merged into the one it is about.
    """
    one = known.get(command.incident_id or "")
    if one is None:
        return _unknown(command.incident_id)
    if one.is_emptied:
        return _emptied(one)
    if command.action == "unmerge":
        return (
            None if one.merged_into is not None else f"{one.incident_id} is not merged into any: nothing to take back"
        )
    if one.merged_into is not None:
        return f"{one.incident_id} is merged into {one.merged_into}: say it of that one, or unmerge {one.incident_id} first"
    match command.action:
        case "mitigate" if one.status == "resolved":
            return f"{one.incident_id} is resolved: nothing is left to mitigate; reopen it if that is not so"
        case "reopen" if one.status in ("open", "acknowledged"):
            return f"{one.incident_id} is {one.status}: only what is mitigated or resolved can be reopened"
        case "merge":
            return _no_merge(one, command.into or "", known)
    return None


def _no_merge(one: IncidentStanding, into: str, known: Mapping[str, IncidentStanding]) -> str | None:
    target = known.get(into)
    if into == one.incident_id:
        return f"{into} cannot be merged into itself"
    if target is None:
        return _unknown(into)
    if target.is_emptied:
        return _emptied(target)
    if target.merged_into is not None:
        return f"{into} is merged into {target.merged_into}: merge into that one"
    if target.status == "resolved":
        return f"{into} is resolved: reopen it first, or merge it into {one.incident_id}"
    if one.is_parent:
        return f"{one.incident_id} is of many subjects: merge the other one into it"
    if any(each.merged_into == one.incident_id for each in known.values()):
        return f"others are merged into {one.incident_id}: merge {into} into it, or unmerge them first"
    if not target.is_parent and target.subject != one.subject:
        return (
            f"{one.incident_id} is of {one.subject} and {into} of {target.subject}: only incidents of one subject merge"
        )
    return None


def _emptied(parent: IncidentStanding) -> str:
    now = "say it of the incidents that were in it" if parent.merged_into is None else f"say it of {parent.merged_into}"
    return f"{parent.incident_id} has no subjects any more: {now}"


def _unknown(incident_id: str | None) -> str:
    return (
        f"no incident {incident_id} is known here: check the id with `driftwire incidents --all`; "
        "one resolved long ago can no longer be changed"
    )
