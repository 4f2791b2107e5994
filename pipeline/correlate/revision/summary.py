"""The summary: a few sentences about an incident for the person on call. It never contains text that a user wrote."""

from collections.abc import Callable, Sequence

from pipeline.correlate.causes import clear_suspect
from pipeline.correlate.incidents import IncidentState
from pipeline.correlate.playbook import phrases
from pipeline.wording import duration
from schemas.deployment import Deployment
from schemas.incident import Containment, Suspect
from schemas.timestamp import clock_time, date_time
from schemas.topics import DAY_MS

TimeFormat = Callable[[int], str]
"""A function that formats a time in Unix ms."""

OTHER_SIGNALS_MAX = 4
"""Maximum number of other signals in the summary. Further signals are only counted."""


def write_summary(
    incident: IncidentState,
    suspects: Sequence[Suspect],
    steps: Sequence[Containment],
    rollback: Deployment | None,
    *,
    until: int,
) -> str:
    """Return the summary: the failure, its start, the other affected signals, the likely cause, and the first step.

    ``until`` is the time of the revision (Unix ms). If more than a day has passed until then, all times have dates.
    """
    earliest = min(incident.started_at, *(suspect.at for suspect in suspects if suspect.at is not None), until)
    show = date_time if until - earliest > DAY_MS else clock_time
    sentences = [_state(incident, show), *_failure(incident, show), _cause(incident, suspects, show)]
    if rollback is not None:
        sentences.append(f"It was rolled back at {show(rollback.timestamp)}.")
    sentences += [f"It was switched off at {show(step.done_at)}." for step in steps if step.done_at is not None]
    if steps and steps[0].done_at is None and incident.resolved_at is None and incident.firing:
        sentences.append(f"First: {phrases.describe_step(steps[0])}.")
    return " ".join(sentence for sentence in sentences if sentence)


def _state(incident: IncidentState, show: TimeFormat) -> str:
    if incident.resolved_at is not None:
        lasted = duration((incident.resolved_at - incident.started_at) / 1000)
        return f"Resolved at {show(incident.resolved_at)}, {lasted} after the start."
    if incident.recovered_at is not None:
        return f"All signals recovered at {show(incident.recovered_at)}."
    return ""


def _failure(incident: IncidentState, show: TimeFormat) -> list[str]:
    """Describe the failure, at its worst if it has recovered, and the other signals that still fire."""
    lead = incident.lead
    is_past = lead.state == "recovered"
    measured = "at its worst" if is_past else phrases.describe_measurement(lead, show)
    subject, failure = incident.subject, phrases.describe_drift(lead, past=is_past, measured=measured)
    scope = incident.membership.scope
    if scope is not None:
        subject = f"{len(incident.subjects)} subjects of {scope}"
        failure = f"{'failed' if is_past else 'fail'} together: {lead.subject} {failure}"
    span = f"since {show(incident.started_at)}"
    if is_past:
        recovered_at = lead.updated_at if incident.recovered_at is None else incident.recovered_at
        span = f"from {show(incident.started_at)} to {show(recovered_at)}"
    sentences = [f"{subject} {failure}, {span}."]
    others = sorted({drift.signal for drift in incident.firing if drift.signal != lead.signal})
    if others:
        rest = len(others) - OTHER_SIGNALS_MAX
        names = f"{', '.join(others[:OTHER_SIGNALS_MAX])}{f' and {rest} more' if rest > 0 else ''}"
        sentences.append(f"{'Still' if is_past else 'Also'} affected: {names}.")
    return sentences


def _cause(incident: IncidentState, suspects: Sequence[Suspect], show: TimeFormat) -> str:
    clear = clear_suspect(suspects)
    cause = phrases.describe_cause(clear, suspects, incident.started_at, show)
    return f"Most likely cause: {cause}." if clear is not None else f"{cause[0].upper()}{cause[1:]}."
