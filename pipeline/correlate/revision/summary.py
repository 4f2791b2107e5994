"""The summary: a few sentences about an incident for the person on call. It never contains text that a user wrote."""

from collections.abc import Sequence

from pipeline.correlate.causes import clear_suspect
from pipeline.correlate.incidents import IncidentState
from pipeline.correlate.playbook import phrases
from pipeline.wording import duration
from schemas.deployment import Deployment
from schemas.incident import Containment, Suspect
from schemas.timestamp import clock_time

OTHER_SIGNALS_MAX = 4
"""Maximum number of other signals in the summary. Further signals are only counted."""

_INSTRUCTIONS = {
    "rollback": "roll back {}",
    "kill_switch": "switch off {}",
    "throttle": "throttle {}",
    "filter": "filter {}",
    "investigate": "investigate with {}",
}


def write_summary(
    incident: IncidentState, suspects: Sequence[Suspect], steps: Sequence[Containment], rollback: Deployment | None
) -> str:
    """Return the summary: the failure, its start, the other affected signals, the likely cause, and the first step."""
    sentences = [_state(incident), _failure(incident), _other_signals(incident), _cause(incident, suspects)]
    if rollback is not None:
        sentences.append(f"It was rolled back at {clock_time(rollback.timestamp)}.")
    sentences += [f"It was switched off at {clock_time(step.done_at)}." for step in steps if step.done_at is not None]
    if steps and steps[0].done_at is None and incident.resolved_at is None and incident.firing:
        sentences.append(f"First: {_INSTRUCTIONS[steps[0].action].format(steps[0].target)}.")
    return " ".join(sentence for sentence in sentences if sentence)


def _state(incident: IncidentState) -> str:
    if incident.resolved_at is not None:
        lasted = duration((incident.resolved_at - incident.started_at) / 1000)
        return f"Resolved at {clock_time(incident.resolved_at)}, {lasted} after the start."
    if incident.recovered_at is not None:
        return f"All signals recovered at {clock_time(incident.recovered_at)}."
    return ""


def _failure(incident: IncidentState) -> str:
    is_past = not incident.firing
    subject, failure = incident.subject, phrases.describe_drift(incident.decision.drift, past=is_past)
    scope = incident.membership.scope
    if scope is not None:
        subject = f"{len(incident.subjects)} subjects of {scope}"
        failure = f"{'failed' if is_past else 'fail'} together: {incident.decision.drift.subject} {failure}"
    if is_past and incident.recovered_at is not None:
        return f"{subject} {failure}, from {clock_time(incident.started_at)} to {clock_time(incident.recovered_at)}."
    return f"{subject} {failure}, since {clock_time(incident.started_at)}."


def _other_signals(incident: IncidentState) -> str:
    lead = incident.decision.drift.signal
    others = sorted({drift.signal for drift in incident.firing if drift.signal != lead})
    if not others:
        return ""
    rest = len(others) - OTHER_SIGNALS_MAX
    return f"Also affected: {', '.join(others[:OTHER_SIGNALS_MAX])}{f' and {rest} more' if rest > 0 else ''}."


def _cause(incident: IncidentState, suspects: Sequence[Suspect]) -> str:
    first = clear_suspect(suspects)
    if first is not None and first.deployment_id is not None and first.at is not None:
        distance = phrases.describe_distance(first.at, incident.started_at)
        return f"Most likely cause: {first.name}, deployed {clock_time(first.at)}, {distance}."
    if first is not None:
        return f"Most likely cause: {first.name} ({first.kind.replace('_', ' ')}); no deployment explains it."
    nearest = next((suspect for suspect in suspects if suspect.deployment_id is not None), None)
    if nearest is None or nearest.at is None:
        return "No deployment explains it."
    distance = phrases.describe_distance(nearest.at, incident.started_at)
    return f"No deployment clearly explains it; the nearest is {nearest.name}, {distance}."
