"""What a revision changed, in a few words: for a reader who knows the one before."""

from schemas.incident import Incident

_TOLD = (
    "deployment",
    "rollback",
    "kill_switch",
    "accept",
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
"""Events of the log that no other field shows."""


def describe_changes(before: Incident | None, now: Incident) -> str:
    """The differences that a reader would act on; the first revision is "opened"."""
    if before is None:
        return "opened"
    found = [
        _moved("severity", before.severity, now.severity),
        _moved("status", before.status, now.status),
        _moved("failure mode", before.failure_mode, now.failure_mode),
        *_signals(before, now),
        *_suspects(before, now),
        _set("acknowledged by", before.acknowledged_by, now.acknowledged_by),
        _set("commander", before.commander, now.commander),
        _set("technical lead", before.technical_lead, now.technical_lead),
        _set("communications lead", before.communications_lead, now.communications_lead),
        _set("merged into", before.merged_into, now.merged_into),
        _subjects(before.subject_count, now.subject_count),
    ]
    said = {(entry.at, entry.event, entry.text) for entry in before.log}
    found += [
        entry.text for entry in now.log if entry.event in _TOLD and (entry.at, entry.event, entry.text) not in said
    ]
    return "; ".join(each for each in found if each) or "newer numbers"


def _moved(what: str, before: str, now: str) -> str:
    return "" if before == now else f"{what} {before} -> {now}"


def _set(what: str, before: str | None, now: str | None) -> str:
    return "" if before == now or now is None else f"{what} {now}"


def _subjects(before: int, now: int) -> str:
    return "" if before == now else f"{now} subjects, not {before}"


def _signals(before: Incident, now: Incident) -> list[str]:
    known = {line.drift_id: line.state for line in before.evidence}
    found = []
    for line in now.evidence:
        if line.drift_id not in known:
            found.append(f"new signal: {line.signal} {line.side} ({line.channel}, {line.tier})")
        elif line.state != known[line.drift_id]:
            found.append(f"{line.signal} ({line.channel}) is {'back' if line.state == 'recovered' else line.state}")
    return found


def _suspects(before: Incident, now: Incident) -> list[str]:
    first_before = before.suspects[0].name if before.suspects else "none"
    first_now = now.suspects[0].name if now.suspects else "none"
    if first_before != first_now:
        return [f"first suspect {first_before} -> {first_now}"]
    names_before = [suspect.name for suspect in before.suspects]
    return ["further suspects"] if names_before != [suspect.name for suspect in now.suspects] else []
