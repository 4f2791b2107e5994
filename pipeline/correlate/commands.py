"""Commands: what a person says of an incident, applied to its facts."""

from pipeline.correlate.facts import COMMANDS_SEEN_MAX, Classification, Facts
from schemas.command import Command


def problem_with(command: Command) -> str | None:
    """Why a command about an incident cannot be followed, in words; None if it can."""
    if command.incident_id is None:
        return f'the command "{command.action}" needs an incident_id: name the incident it is about'
    if command.action == "classify" and command.severity is None:
        return 'the command "classify" needs a severity: P1, P2, P3 or P4'
    if command.action == "assign" and not command.assignee:
        return 'the command "assign" needs an assignee: name who takes the incident'
    return None


def follow(command: Command, facts: Facts, *, entries_max: int) -> bool:
    """Let an incident know a command; False if it was followed before, by its id.

    A command about a resolved incident is followed as well, but only ``accept`` and ``resolve`` mean something then: the
    incident stays closed whatever else of it turns up.
    """
    if command.command_id in facts.commands:
        return False
    facts.commands = [*facts.commands, command.command_id][-COMMANDS_SEEN_MAX:]
    text = ""
    match command.action:
        case "acknowledge":
            facts.acknowledged_by = command.author
            text = f"acknowledged by {command.author}"
        case "assign":
            facts.assigned_to = command.assignee
            text = f"assigned to {command.assignee} by {command.author}"
        case "classify" if command.severity is not None:
            facts.classification = Classification(command.severity, command.at, command.author, command.note)
            text = f"classified {command.severity} by {command.author}"
        case "resolve":
            _close(facts, command)
            text = f"resolved by {command.author}"
        case "accept":
            _close(facts, command)
            text = f"accepted as the new normal by {command.author}"
    note = f": {command.note}" if command.note else ""
    facts.note(command.at, command.action, text + note, entries_max=entries_max)
    return True


def _close(facts: Facts, command: Command) -> None:
    facts.closed_by = command.author
    if facts.resolved_at is None:
        facts.resolved_at = max(command.at, facts.detected_at)
