"""The published state of an incident: combined with its members, with the full running log."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.correlate.incidents import IncidentState, running_log
from pipeline.correlate.phases.incident_table import IncidentTable
from pipeline.correlate.playbook import phrases
from schemas.incident import LogEntry

NAMED_MAX = 5
"""Maximum number of subjects in the first line of a parent's log."""


def published_view(table: IncidentTable, incident: IncidentState) -> IncidentState:
    """Return the state of an incident combined with its members and with its full log.

    The log of a parent has a line for each subject. The log of a child ends with a line about its parent.
    """
    merged, membership = table.merges.merged_view(incident), incident.membership
    if membership.scope is not None and merged.tracked:
        members = [table.merges.merged_view(member) for member in table.merges.members(incident)]
        return replace(merged, log=[*_parent_log(merged, members), *incident.log])
    parent = next(table.merges.targets(incident), None)
    if parent is None or membership.merged_by is not None or membership.scope is not None:
        return merged
    # Targets that are still due move to the parent. Only reminders to which a person has reacted remain.
    reminders = [reminder for reminder in merged.reminders if reminder.at <= merged.last_action_at]
    return replace(merged, log=[*merged.log, _merged_line(merged, parent)], reminders=reminders)


def _merged_line(child: IncidentState, parent: IncidentState) -> LogEntry:
    at = max(parent.membership.formed_at, child.detected_at)
    text = f"other subjects of {parent.membership.scope} fail too: {parent.incident_id} now covers this incident"
    return LogEntry(at=at, event="merged", text=running_log.shorten(text))


def _parent_log(parent: IncidentState, members: Sequence[IncidentState]) -> list[LogEntry]:
    """Return a parent's log without people's commands: its opening, the detection of each subject, and its end."""
    formed_at, scope = parent.membership.formed_at, parent.membership.scope
    children = [member for member in members if member.tracked]
    first = sorted({child.subject for child in children if child.detected_at <= formed_at})
    more = len(first) - NAMED_MAX
    names = f"{', '.join(first[:NAMED_MAX])}{f' and {more} more' if more > 0 else ''}"
    lines = [(formed_at, "opened", f"opened: {names}, all of {scope}, failed at the same time")]
    for child in sorted(children, key=lambda one: (one.detected_at, one.incident_id)):
        text = f"{child.subject} {phrases.describe_drift(child.decision.drift)} ({child.incident_id})"
        lines.append((max(formed_at, child.detected_at), "subject", text))
    if parent.recovered_at is not None:
        lines.append((parent.recovered_at, "recovered", "all signals of all subjects are back"))
        if parent.resolved_at is not None and parent.closed_by is None:
            lines.append((parent.resolved_at, "resolved", "resolved: all signals have stayed back"))
    return [LogEntry(at=at, event=event, text=running_log.shorten(text)) for at, event, text in lines]
