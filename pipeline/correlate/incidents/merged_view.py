"""Together: the facts of an incident with those of all that is merged into it, as one.

Computed each time and never kept: what is merged keeps its own facts. Of a parent all but people's words comes from its
children; so does its running log, which names each subject once.
"""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.correlate.incidents.facts import IncidentState, shorten
from pipeline.correlate.playbook import failure_modes, phrases
from pipeline.correlate.severity import SEVERITIES, is_worse
from schemas.incident import CHILDREN_MAX, LogEntry

NAMED_MAX = 5
"""Subjects that the first line of a parent's log names."""


def merge_states(facts: IncidentState, members: Sequence[IncidentState]) -> IncidentState:
    """One incident's facts with those of what is merged into it, but for a parent's log; the same facts if that is nothing.

    Severity and name are those of the worst; a person's severity for one of them counts where it is worse than the rules'.
    """
    others = sorted((each for each in members if each.tracked), key=lambda each: (each.started_at, each.incident_id))
    if not others:
        return facts
    everyone = [*([facts] if facts.tracked else []), *others]
    lead = min(everyone, key=_place)
    said = facts.classification
    if said is None:
        worst = [each.classification for each in others if each.classification is not None]
        said = min(worst, key=lambda each: (each.severity, each.at, each.author), default=None)
        said = said if said is not None and is_worse(said.severity, lead.decision.severity) else None
    whole = replace(
        facts,
        decision=lead.decision,
        decided_at=lead.decided_at,
        clock=max(each.clock for each in everyone),
        partitions=set().union(*(each.partitions for each in everyone)),
        tracked={key: drift for each in everyone for key, drift in each.tracked.items()},
        classification=said,
    )
    if facts.membership.scope is None:
        whole.log = [entry for each in everyone for entry in each.log]
        return whole
    whole.children = [each.incident_id for each in others][:CHILDREN_MAX]
    return whole


def merged_line(child: IncidentState, parent: IncidentState) -> LogEntry:
    """The line in a child's log that says where it went."""
    at = max(parent.membership.formed_at, child.detected_at)
    text = f"the same fails in other subjects of {parent.membership.scope}: {parent.incident_id} tells it from now on"
    return LogEntry(at=at, event="merged", text=shorten(text))


def _place(facts: IncidentState) -> tuple[int, int, int, str]:
    decision = facts.decision
    return (
        SEVERITIES.index(decision.severity),
        failure_modes.naming_rank(failure_modes.failure_mode_of(decision.drift)),
        facts.decided_at,
        facts.incident_id,
    )


def parent_log(whole: IncidentState, members: Sequence[IncidentState]) -> list[LogEntry]:
    """A parent's running log but for what people said: what made it one, each subject as it came, and its end."""
    membership, children = whole.membership, [each for each in members if each.tracked]
    first = sorted({each.subject for each in children if each.detected_at <= membership.formed_at})
    rest = len(first) - NAMED_MAX
    names = f"{', '.join(first[:NAMED_MAX])}{f' and {rest} more' if rest > 0 else ''}"
    lines = [(membership.formed_at, "opened", f"opened: {names}, all of {membership.scope}, failed at the same time")]
    lines += [
        (
            max(membership.formed_at, each.detected_at),
            "subject",
            f"{each.subject} {phrases.describe_drift(each.decision.drift)} ({each.incident_id})",
        )
        for each in sorted(children, key=lambda child: (child.detected_at, child.incident_id))
    ]
    if whole.recovered_at is not None:
        lines.append((whole.recovered_at, "recovered", "all signals of all subjects are back"))
        if whole.resolved_at is not None and whole.closed_by is None:
            lines.append((whole.resolved_at, "resolved", "all signals have stayed back: resolved"))
    return [LogEntry(at=at, event=event, text=shorten(text)) for at, event, text in lines]
