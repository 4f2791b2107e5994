"""The state of an incident's facts: what a checkpoint keeps of them, and how they are put together again."""

from collections.abc import Iterable
from typing import Any

from pipeline.correlate.incidents.incident_state import Classification, IncidentState, Reminder
from pipeline.correlate.incidents.membership import Membership
from pipeline.correlate.incidents.tracked import TrackedDrift
from pipeline.correlate.severity import SeverityDecision
from schemas.drift import Drift
from schemas.incident import Incident, LogEntry


def dump(facts: IncidentState) -> dict[str, Any]:
    """The state of an incident, for JSON, but for its drifts and the revision told."""
    return {
        "incident_id": facts.incident_id,
        "subject": facts.subject,
        "opened_by": facts.opened_by,
        "decision": _dumped(facts.decision),
        "calmer": None
        if facts.pending_downgrade is None
        else [facts.pending_downgrade[0], _dumped(facts.pending_downgrade[1])],
        "decided_at": facts.decided_at,
        "clock": facts.clock,
        "began": facts.first_started_at,
        "family": facts.family,
        "partitions": sorted(facts.partitions),
        "log": [[entry.at, entry.event, entry.text] for entry in facts.log],
        "acknowledged_by": facts.acknowledged_by,
        "roles": dict(sorted(facts.roles.items())),
        "communicated": dict(sorted(facts.communicated.items())),
        "classification": _row(facts.classification),
        "mitigated_at": facts.mitigated_at,
        "reopened_at": facts.reopened_at,
        "calm": [list(span) for span in facts.contained_periods],
        "resolved_at": facts.resolved_at,
        "closed_by": facts.closed_by,
        "commands": list(facts.command_ids),
        "commander_at": facts.commander_named_at,
        "first_told_at": facts.first_communicated_at,
        "first_at": dict(facts.first_logged_at),
        "last_at": dict(facts.last_logged_at),
        "reminders": [[each.name, each.due_at, each.at, each.text] for each in facts.reminders],
        "membership": facts.membership.dump(),
    }


def load(state: dict[str, Any], drifts: Iterable[dict[str, Any]], told: dict[str, Any] | None) -> IncidentState:
    """Take up a state: what :func:`dump` gave out, with the drifts and the revision told, which are kept apart.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it does not fit.
    """
    tracked = sorted((TrackedDrift.load(each) for each in drifts), key=lambda each: each.join_order)
    membership = Membership.load(state["membership"])
    if not tracked and membership.scope is None:
        raise ValueError("none of its drifts is in the checkpoint")
    if told is None:
        raise ValueError("the revision that readers know is not in the checkpoint")
    classification, calmer = state["classification"], state.get("calmer")
    return IncidentState(
        incident_id=state["incident_id"],
        subject=state["subject"],
        opened_by=state["opened_by"],
        decision=_loaded(state["decision"]),
        pending_downgrade=None if calmer is None else (int(calmer[0]), _loaded(calmer[1])),
        decided_at=state["decided_at"],
        clock=state["clock"],
        first_started_at=state["began"],
        family=state["family"],
        partitions=set(state["partitions"]),
        tracked={each.published.drift_id: each for each in tracked},
        log=[LogEntry(at=at, event=event, text=text) for at, event, text in state["log"]],
        acknowledged_by=state["acknowledged_by"],
        roles=dict(state["roles"]),
        communicated=dict(state["communicated"]),
        classification=None if classification is None else Classification(*classification),
        mitigated_at=state["mitigated_at"],
        reopened_at=state["reopened_at"],
        contained_periods=[(first, last) for first, last in state["calm"]],
        resolved_at=state["resolved_at"],
        closed_by=state["closed_by"],
        command_ids=list(state["commands"]),
        commander_named_at=state["commander_at"],
        first_communicated_at=state["first_told_at"],
        first_logged_at=dict(state["first_at"]),
        last_logged_at=dict(state["last_at"]),
        reminders=[Reminder(*each) for each in state["reminders"]],
        membership=membership,
        last_published=Incident.model_validate(told),
    )


def _dumped(decision: SeverityDecision) -> list[Any]:
    drift = decision.drift.model_dump(exclude_none=True)
    return [decision.severity, decision.rule, decision.reason, drift, decision.adjusted_by, decision.adjustment_reason]


def _loaded(state: list[Any]) -> SeverityDecision:
    severity, rule, reason, drift, *moved = state
    return SeverityDecision(severity, rule, reason, Drift.model_validate(drift), *moved)


def _row(classification: Classification | None) -> list[Any] | None:
    if classification is None:
        return None
    return [classification.severity, classification.at, classification.author, classification.note]
