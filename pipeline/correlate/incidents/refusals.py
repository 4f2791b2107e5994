"""Refusals: messages that explain to the sender of a command why it cannot be applied.

A command is checked twice. The command line checks it against the published incidents before writing it. Correlate
checks it against the current state when reading it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.correlate.incidents.incident_state import IncidentState
from schemas.command import Command
from schemas.incident import Incident, IncidentStatus


@dataclass(frozen=True, slots=True)
class IncidentStanding:
    """The state of an incident that determines whether a command about it is valid."""

    incident_id: str
    subject: str
    status: IncidentStatus
    merged_into: str | None
    is_parent: bool
    is_empty: bool

    @classmethod
    def from_state(cls, incident: IncidentState) -> "IncidentStanding":
        """Build the standing from the combined state of an incident and its members."""
        membership = incident.membership
        return cls(
            incident_id=incident.incident_id,
            subject=incident.subject,
            status=incident.status,
            merged_into=membership.merged_into,
            is_parent=membership.scope is not None,
            is_empty=not incident.tracked,
        )

    @classmethod
    def from_revision(cls, incident: Incident) -> "IncidentStanding":
        """Build the standing from a published revision."""
        return cls(
            incident_id=incident.incident_id,
            subject=incident.subject,
            status=incident.status,
            merged_into=incident.merged_into,
            is_parent=bool(incident.children),
            is_empty=not incident.subject_count,
        )


def refusal_reason(command: Command, known: Mapping[str, IncidentStanding]) -> str | None:
    """Return the reason why a command cannot be applied, or None if it can be applied.

    Parameters
    ----------
    command
        A command about an incident, with any action except silence.
    known
        Incidents by id: at least the incidents in the command, and the members of the incident that it is about.

    Examples
    --------
    >>> refusal_reason(Command(command_id="c-1", at=1795489920000, author="ann", action="merge", incident_id="inc-1"), {})
    'the command "merge" needs the incident to merge into'
    """
    missing = _missing_field(command)
    if missing is not None:
        return missing
    incident = known.get(command.incident_id or "")
    if incident is None:
        return _unknown(command.incident_id)
    if incident.is_empty:
        return _empty(incident)
    incident_id, target_id = incident.incident_id, incident.merged_into
    if command.action == "unmerge":
        if target_id is None:
            return f"{incident_id} is not merged into another incident: there is nothing to unmerge"
        return None
    if target_id is not None:
        return f"{incident_id} is merged into {target_id}: send the command to {target_id} instead, or unmerge {incident_id} first"
    match command.action:
        case "mitigate" if incident.status == "resolved":
            return f"{incident_id} is resolved: nothing is left to mitigate; reopen it first if the harm continues"
        case "reopen" if incident.status in ("open", "acknowledged"):
            return f"{incident_id} is {incident.status}: only a mitigated or resolved incident can be reopened"
        case "merge":
            return _merge_refusal(incident, command.into or "", known)
    return None


def _missing_field(command: Command) -> str | None:
    if command.incident_id is None:
        return f'the command "{command.action}" needs an incident_id: the incident that it is about'
    needs = {
        "classify": (command.severity, "a severity: P1, P2, P3 or P4"),
        "assign": (command.assignee, "an assignee: the person who takes the role"),
        "note": (command.note, "a note: the line for the running log"),
        "merge": (command.into, "the incident to merge into"),
    }
    if command.resolved_as is not None and command.action != "resolve":
        return f'the command "{command.action}" cannot say what the incident was: resolved_as belongs to "resolve"'
    value, need = needs.get(command.action, ("nothing", ""))
    return None if value else f'the command "{command.action}" needs {need}'


def _merge_refusal(incident: IncidentStanding, target_id: str, known: Mapping[str, IncidentStanding]) -> str | None:
    incident_id, target = incident.incident_id, known.get(target_id)
    if target_id == incident_id:
        return f"{target_id} cannot be merged into itself"
    if target is None:
        return _unknown(target_id)
    if target.is_empty:
        return _empty(target)
    if target.merged_into is not None:
        return f"{target_id} is merged into {target.merged_into}: merge into {target.merged_into} instead"
    if target.status == "resolved":
        return f"{target_id} is resolved: reopen it first, or merge it into {incident_id}"
    if incident.is_parent:
        return f"{incident_id} is a parent of many subjects: merge {target_id} into it instead"
    if any(other.merged_into == incident_id for other in known.values()):
        return (
            f"other incidents are merged into {incident_id}: merge {target_id} into it instead, or unmerge them first"
        )
    if not target.is_parent and target.subject != incident.subject:
        return (
            f"{incident_id} is about {incident.subject} and {target_id} about {target.subject}: "
            "only incidents of one subject can be merged"
        )
    return None


def _empty(parent: IncidentStanding) -> str:
    target = "the incidents that were merged into it" if parent.merged_into is None else parent.merged_into
    return f"{parent.incident_id} no longer has any subjects: send the command to {target} instead"


def _unknown(incident_id: str | None) -> str:
    return (
        f"unknown incident {incident_id}: check the id with `driftwire incidents --all`. "
        "An incident that was resolved long ago can no longer be changed"
    )
