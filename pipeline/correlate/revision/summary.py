"""The summary: an incident in a few sentences for the person on call. No text of a user's ever gets in."""

from collections.abc import Sequence

from pipeline.correlate.causes import clear_suspect
from pipeline.correlate.incidents import IncidentState
from pipeline.correlate.playbook import phrases
from pipeline.wording import duration
from schemas.deployment import Deployment
from schemas.incident import Containment, Suspect
from schemas.timestamp import clock_time

ALSO_MAX = 4
"""Other signals that the summary names; it counts the rest."""

_ORDERS = {
    "rollback": "roll back {}",
    "kill_switch": "switch off {}",
    "throttle": "throttle {}",
    "filter": "filter {}",
    "investigate": "look into it with {}",
}


def write_summary(
    facts: IncidentState, suspects: Sequence[Suspect], steps: Sequence[Containment], rollback: Deployment | None
) -> str:
    """What happens, since when, what else moved, because of what, and what to do first."""
    sentences = [_state(facts), _what(facts), _also(facts), _cause(facts, list(suspects))]
    if rollback is not None:
        sentences.append(f"It was rolled back at {clock_time(rollback.timestamp)}.")
    sentences += [f"It was switched off at {clock_time(step.done_at)}." for step in steps if step.done_at is not None]
    if steps and steps[0].done_at is None and facts.resolved_at is None and facts.firing:
        sentences.append(f"First: {_ORDERS[steps[0].action].format(steps[0].target)}.")
    return " ".join(sentence for sentence in sentences if sentence)


def _state(facts: IncidentState) -> str:
    if facts.resolved_at is not None:
        lasted = duration((facts.resolved_at - facts.started_at) / 1000)
        return f"Resolved at {clock_time(facts.resolved_at)}, {lasted} after the start."
    if facts.recovered_at is not None:
        return f"All signals are back since {clock_time(facts.recovered_at)}."
    return ""


def _what(facts: IncidentState) -> str:
    past = not facts.firing
    words = phrases.describe_drift(facts.decision.drift, past=past)
    scope, name = facts.membership.scope, facts.decision.drift.subject
    if scope is not None:
        words = f"{'failed' if past else 'fail'} together: {name} {words}"
    who = facts.subject if scope is None else f"{len(facts.subjects)} subjects of {scope}"
    if past and facts.recovered_at is not None:
        return f"{who} {words}, from {clock_time(facts.started_at)} to {clock_time(facts.recovered_at)}."
    return f"{who} {words}, since {clock_time(facts.started_at)}."


def _also(facts: IncidentState) -> str:
    lead = facts.decision.drift.signal
    others = sorted({drift.signal for drift in facts.firing if drift.signal != lead})
    if not others:
        return ""
    rest = len(others) - ALSO_MAX
    return f"Also off: {', '.join(others[:ALSO_MAX])}{f' and {rest} more' if rest > 0 else ''}."


def _cause(facts: IncidentState, suspects: list[Suspect]) -> str:
    first = clear_suspect(suspects)
    if first is not None and first.deployment_id is not None and first.at is not None:
        return f"Most likely cause: {first.name}, deployed {clock_time(first.at)}, {phrases.describe_distance(first.at, facts.started_at)}."
    if first is not None:
        return f"Most likely cause: {first.name} ({first.kind.replace('_', ' ')}); no deployment explains it."
    deployed = next((suspect for suspect in suspects if suspect.deployment_id is not None), None)
    if deployed is None or deployed.at is None:
        return "No deployment explains it."
    return f"No deployment clearly explains it; the nearest is {deployed.name}, {phrases.describe_distance(deployed.at, facts.started_at)}."
