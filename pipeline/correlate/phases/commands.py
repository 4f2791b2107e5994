"""Commands: the effects of a valid command on an incident.

:mod:`pipeline.correlate.incidents.refusals` decides whether a command is valid. Commands about a resolved incident are
applied too. Only ``accept``, ``resolve``, ``reopen`` and ``merge`` then change its status.
A command that arrives after a later one that it contradicts is only logged. Times of commands are compared with each
other only, because the times of drifts are those of the records.
"""

from pipeline.correlate.incidents import IncidentState
from schemas.command import Action, Command
from schemas.incident import Resolution, Role

COMMANDS_SEEN_MAX = 200
"""Maximum number of stored command ids per incident. A command that is sent twice is applied once."""

_CONTRADICTED_BY: dict[Action, tuple[Action, ...]] = {
    "acknowledge": ("acknowledge", "unacknowledge"),
    "unacknowledge": ("acknowledge",),
    "classify": ("classify",),
    "mitigate": ("reopen",),
    "resolve": ("reopen",),
    "accept": ("reopen",),
    "reopen": ("mitigate", "resolve", "accept"),
}
"""For an action, the actions that contradict it if a person took them later."""

_INFORMED = {"internal": "people inside were informed", "external": "users and customers were informed"}


_RESOLUTIONS: dict[Resolution, str] = {
    "failure": "a failure",
    "false_alarm": "a false alarm",
    "expected": "an expected change",
}


def apply_command(command: Command, incident: IncidentState, detected_at: int, *, entries_max: int) -> bool:
    """Apply a valid command to an incident. Return whether it has an effect.

    Parameters
    ----------
    command
        The command.
    incident
        The incident that the command is about. It is changed in place.
    detected_at
        Time (Unix ms) at which the incident or the first of its members was detected. No action has an earlier time.
    entries_max
        Maximum number of lines in the running log.
    """
    incident.command_ids = [*incident.command_ids, command.command_id][-COMMANDS_SEEN_MAX:]
    is_contradicted = _is_contradicted(command, incident)
    if is_contradicted:
        text = f"{command.action} has no effect, because a later command contradicts it,"
    else:
        text = _apply(command, incident, detected_at)
    if command.communicated is not None:
        text = "; ".join(part for part in (text, _INFORMED[command.communicated]) if part)
        known_at = incident.communicated.get(command.communicated, command.at)
        incident.communicated[command.communicated] = max(known_at, command.at)
    note = f": {command.note}" if command.note else ""
    incident.add_log_entry(command.at, command.action, f"{text} by {command.author}{note}", entries_max=entries_max)
    return not is_contradicted


def store_early_reopening(command: Command, incident: IncidentState) -> bool:
    """Store the time of a refused reopening of an open incident, because the resolution before it may arrive later.

    Return whether the command is such a reopening.
    """
    if command.action != "reopen" or incident.status not in ("open", "acknowledged"):
        return False
    incident.last_logged_at["reopen"] = max(command.at, incident.last_logged_at.get("reopen", command.at))
    return True


def _apply(command: Command, incident: IncidentState, detected_at: int) -> str:
    """Apply the action, and return a description to which the name of the author can be added."""
    match command.action:
        case "acknowledge" | "unacknowledge":
            incident.acknowledged_by = command.author if command.action == "acknowledge" else None
            return "acknowledged" if incident.acknowledged_by else "acknowledgement withdrawn"
        case "assign" if command.assignee is not None:
            return _assign(incident, command.role or "commander", command.assignee, command.at)
        case "classify" if command.severity is not None:
            incident.classify(command.severity, command.at, command.author, command.note)
            return f"classified {command.severity}"
        case "note":
            return "" if command.communicated else "noted"
        case "mitigate":
            incident.mitigated_at = max(command.at, detected_at)
            return "mitigated"
        case "reopen":
            return _reopen(incident, command.at)
        case "merge":
            incident.membership.merged_into, incident.membership.merged_by = command.into, command.author
            return f"merged into {command.into}"
        case "unmerge":
            return _unmerge(incident)
    return _close(command, incident, detected_at)


def _close(command: Command, incident: IncidentState, detected_at: int) -> str:
    incident.closed_by = command.author
    if incident.resolved_at is None:
        incident.resolved_at = max(command.at, detected_at)
    if command.action == "accept":
        return "accepted as the new normal"
    if command.resolved_as is None:
        return "resolved"
    incident.resolved_as = command.resolved_as
    return f"resolved as {_RESOLUTIONS[command.resolved_as]}"


def _is_contradicted(command: Command, incident: IncidentState) -> bool:
    if command.action == "assign":
        return incident.assigned_at.get(command.role or "commander", 0) > command.at
    later = _CONTRADICTED_BY.get(command.action, ())
    return any(incident.last_logged_at.get(action, 0) > command.at for action in later)


def _assign(incident: IncidentState, role: Role, name: str, at: int) -> str:
    before = incident.roles.get(role)
    if role == "commander":
        incident.commander_named_at = min(at, incident.commander_named_at or at)
    incident.roles[role], incident.assigned_at[role] = name, at
    replaced = f", replacing {before}," if before not in (None, name) else ""
    return f"{role.replace('_', ' ')} assigned to {name}{replaced}"


def _reopen(incident: IncidentState, at: int) -> str:
    incident.mark_active(at)
    incident.resolved_at = incident.closed_by = incident.resolved_as = None
    incident.reopened_at = at
    return "reopened"


def _unmerge(incident: IncidentState) -> str:
    membership = incident.membership
    target_id, membership.merged_into = membership.merged_into, None
    # If a person removes a child from its parent, it must not be merged again. Other incidents may be merged again.
    membership.is_excluded = membership.is_excluded or membership.merged_by is None
    membership.merged_by = None
    return f"unmerged from {target_id}"
