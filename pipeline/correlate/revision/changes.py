"""Short descriptions of the changes in a revision, for readers of the previous revision."""

from schemas.incident import Incident

_REPORTED_EVENTS = (
    "deployment",
    "rollback",
    "kill_switch",
    "accept",
    "unacknowledge",
    "classify",
    "note",
    "mitigate",
    "reopen",
    "reopened",
    "unmitigated",
    "merge",
    "unmerge",
    "limit",
    "reminder",
)
"""Running-log events that do not appear in any other field."""


def describe_changes(before: Incident | None, now: Incident) -> str:
    """Return the differences that a reader would act on. For the first revision, return "opened"."""
    if before is None:
        return "opened"
    changes = [
        _change("severity", before.severity, now.severity),
        _change("status", before.status, now.status),
        _change("failure mode", before.failure_mode, now.failure_mode),
        *_signal_changes(before, now),
        *_suspect_changes(before, now),
        _new_value("acknowledged by", before.acknowledged_by, now.acknowledged_by),
        _new_value("commander", before.commander, now.commander),
        _new_value("technical lead", before.technical_lead, now.technical_lead),
        _new_value("communications lead", before.communications_lead, now.communications_lead),
        _new_value("resolved as", before.resolved_as, now.resolved_as),
        _new_value("merged into", before.merged_into, now.merged_into),
        _change("subjects", str(before.subject_count), str(now.subject_count)),
    ]
    logged = {(entry.at, entry.event, entry.text) for entry in before.log}
    changes += [
        entry.text
        for entry in now.log
        if entry.event in _REPORTED_EVENTS and (entry.at, entry.event, entry.text) not in logged
    ]
    return "; ".join(change for change in changes if change) or "newer numbers"


def _change(name: str, before: str, now: str) -> str:
    return "" if before == now else f"{name} {before} -> {now}"


def _new_value(name: str, before: str | None, now: str | None) -> str:
    return "" if before == now or now is None else f"{name} {now}"


def _signal_changes(before: Incident, now: Incident) -> list[str]:
    states = {line.drift_id: line.state for line in before.evidence}
    changes = []
    for line in now.evidence:
        if line.drift_id not in states:
            changes.append(f"new signal: {line.signal} {line.side} ({line.channel}, {line.tier})")
        elif line.state != states[line.drift_id]:
            changes.append(f"{line.signal} ({line.channel}) is {'back' if line.state == 'recovered' else line.state}")
    return changes


def _suspect_changes(before: Incident, now: Incident) -> list[str]:
    first_before = before.suspects[0].name if before.suspects else "none"
    first_now = now.suspects[0].name if now.suspects else "none"
    if first_before != first_now:
        return [f"first suspect {first_before} -> {first_now}"]
    names_before, names_now = ([suspect.name for suspect in incident.suspects] for incident in (before, now))
    return ["further suspects"] if names_before != names_now else []
