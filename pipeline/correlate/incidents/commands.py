"""Commands: what a person says of an incident, applied to its facts.

Whether a command makes sense is asked before, see :mod:`pipeline.correlate.incidents.refusals`. A command about a resolved
incident is followed as well; but for ``accept``, ``resolve``, ``reopen`` and ``merge`` it is no more than a line in the
log then.
"""

from pipeline.correlate.incidents.facts import COMMANDS_SEEN_MAX, Classification, IncidentState
from schemas.command import Command
from schemas.incident import Role

_TOLD = {"internal": "people inside were told", "external": "users and customers were told"}


def was_applied(command: Command, facts: IncidentState) -> bool:
    """Whether an incident has followed a command of this id before: one sent twice counts once."""
    return command.command_id in facts.commands


def apply_command(command: Command, facts: IncidentState, detected_at: int, *, entries_max: int) -> None:
    """Let an incident, which was detected at a time in Unix ms, know a command that makes sense for it."""
    facts.commands = [*facts.commands, command.command_id][-COMMANDS_SEEN_MAX:]
    text = _apply(command, facts, detected_at)
    if command.communicated is not None:
        text = "; ".join(part for part in (text, _TOLD[command.communicated]) if part)
        told = facts.communicated.get(command.communicated, command.at)
        facts.communicated[command.communicated] = max(told, command.at)
    note = f": {command.note}" if command.note else ""
    facts.add_log_entry(command.at, command.action, f"{text} by {command.author}{note}", entries_max=entries_max)


def _apply(command: Command, facts: IncidentState, detected_at: int) -> str:
    """Do what the command says; what was done, in words that ``by NAME`` goes with."""
    match command.action:
        case "acknowledge":
            facts.acknowledged_by = command.author
            return "acknowledged"
        case "assign" if command.assignee is not None:
            return _assign(facts, command.role or "commander", command.assignee, command.at)
        case "classify" if command.severity is not None:
            facts.classification = Classification(command.severity, command.at, command.author, command.note)
            return f"classified {command.severity}"
        case "note":
            return "" if command.communicated else "noted"
        case "mitigate":
            facts.mitigated_at = max(command.at, detected_at)
            return "mitigated"
        case "reopen":
            return _reopen(facts, command)
        case "merge":
            facts.membership.into, facts.membership.by = command.into, command.author
            return f"merged into {command.into}"
        case "unmerge":
            return _unmerge(facts)
        case "accept":
            _close(facts, command, detected_at)
            return "accepted as the new normal"
    _close(facts, command, detected_at)
    return "resolved"


def _assign(facts: IncidentState, role: Role, name: str, at: int) -> str:
    before = facts.roles.get(role)
    if role == "commander":
        facts.commander_at = min(at, at if facts.commander_at is None else facts.commander_at)
    facts.roles[role] = name
    given = f" instead of {before}" if before not in (None, name) else ""
    return f"{name} made {role.replace('_', ' ')}{given}"


def _reopen(facts: IncidentState, command: Command) -> str:
    facts.mark_active(command.at)
    facts.resolved_at = facts.closed_by = None
    facts.reopened_at = command.at
    return "reopened"


def _unmerge(facts: IncidentState) -> str:
    membership = facts.membership
    target, membership.into = membership.into, None
    # A child that a person takes out stays out; what a person put in can be put in again, or become a child.
    membership.kept_apart = membership.kept_apart or membership.by is None
    membership.by = None
    return f"taken out of {target}"


def _close(facts: IncidentState, command: Command, detected_at: int) -> None:
    facts.closed_by = command.author
    if facts.resolved_at is None:
        facts.resolved_at = max(command.at, detected_at)
