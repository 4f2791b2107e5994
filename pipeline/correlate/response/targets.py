"""Response targets: the tasks that a severity requires, their due times, and whether they are done.

Targets of P1 and P2 run around the clock. The time to fix a P3 or P4 is measured in business days. The time to classify
is measured from the detection. All other times are measured from the time at which the incident got its severity.
Otherwise, an incident whose severity rises after an hour would be overdue immediately.
"""

from dataclasses import dataclass

from pipeline.correlate.incidents import IncidentState
from pipeline.correlate.playbook import BusinessHours, ResponseTimes
from pipeline.wording import duration
from schemas.command import Action
from schemas.incident import Audience, ResponseTarget, Severity
from schemas.timestamp import LATEST_MS

LEADERSHIP: Audience = "internal"
"""Audience of the communications that are due. People decide whether to inform users."""

CLASSIFYING_ACTIONS: tuple[Action, ...] = (
    "acknowledge",
    "classify",
    "assign",
    "mitigate",
    "note",
    "reopen",
    "resolve",
    "accept",
)
"""Actions that show that a person has looked at the incident. Each of them meets the target to classify."""

_WORDS = {
    "classify": "classify within {}",
    "commander": "name an incident commander within {}",
    "contain": "contain within {}",
    "first_communication": "first communication within {}",
    "next_communication": "a communication every {} while the incident is open",
    "review": "review within {}",
}
_PLAYBOOK_WORDS: dict[tuple[Severity, str], str] = {
    ("P1", "contain"): "contain at once, by rollback or kill switch",
    ("P2", "contain"): "roll back within 1 to 2 hours (due after 2 h)",
    ("P1", "review"): "review 48 to 72 hours after the resolution (due after 72 h)",
    ("P2", "review"): "review 48 to 72 hours after the resolution (due after 72 h)",
    ("P3", "fix"): "investigate and fix within 1 business day",
    ("P4", "fix"): "review in the next sprint (14 days, or 10 business days)",
}


@dataclass(frozen=True, slots=True)
class ResponseProgress:
    """Times of people's actions on an incident, in Unix ms.

    A time is None if the action is not known to have been taken.

    ``severity_since`` is the time at which the incident got its severity. ``first_communicated_at`` and
    ``last_communicated_at`` are the times of the first and the last communication to leadership.
    """

    severity: Severity
    detected_at: int
    severity_since: int
    resolved_at: int | None = None
    classified_at: int | None = None
    commander_at: int | None = None
    contained_at: int | None = None
    first_communicated_at: int | None = None
    last_communicated_at: int | None = None


def response_progress(incident: IncidentState, containing_deployment_at: int | None = None) -> ResponseProgress:
    """Return the progress of an incident, given the time of its rollback or kill switch.

    Only containment that holds now counts, not a mitigation that was undone or signals that have left their baseline
    again.
    """
    return ResponseProgress(
        severity=incident.severity,
        detected_at=incident.detected_at,
        severity_since=_severity_since(incident),
        resolved_at=incident.resolved_at,
        classified_at=_earliest(*(incident.first_logged_at.get(action) for action in CLASSIFYING_ACTIONS)),
        commander_at=incident.commander_named_at,
        contained_at=_earliest(containing_deployment_at, incident.contained_since, incident.resolved_at),
        first_communicated_at=incident.first_communicated_at,
        last_communicated_at=incident.communicated.get(LEADERSHIP),
    )


def response_targets(progress: ResponseProgress, plan: ResponseTimes, hours: BusinessHours) -> list[ResponseTarget]:
    """Return the targets of an incident with their due times, most urgent first.

    The due time of the next communication is measured from the last communication, or else from the due time of the
    first. No communication is due after the resolution. The due time of the review is measured from the resolution.
    """
    since, resolved_at = progress.severity_since, progress.resolved_at
    targets = [
        _target(plan, "classify", progress.detected_at, progress.classified_at),
        _target(plan, "commander", since, progress.commander_at),
        _target(plan, "contain", since, progress.contained_at),
        _target(plan, "first_communication", since, progress.first_communicated_at),
    ]
    if resolved_at is None and plan.next_communication_s is not None:
        first_due_at = since + _ms(plan.first_communication_s or 0)
        counted_from = progress.last_communicated_at or first_due_at
        targets.append(_target(plan, "next_communication", counted_from, None))
    if plan.fix_business_days is not None:
        targets.append(_fix_target(plan, hours, since, resolved_at))
    if resolved_at is not None:
        targets.append(_target(plan, "review", resolved_at, None))
    return sorted((target for target in targets if target is not None), key=lambda target: target.due_at)


def _target(plan: ResponseTimes, name: str, counted_from: int, done_at: int | None) -> ResponseTarget | None:
    seconds = getattr(plan, f"{name}_s")
    if seconds is None:
        return None
    is_playbook = seconds == getattr(ResponseTimes.from_playbook(plan.severity), f"{name}_s")
    words = _WORDS[name].format(duration(seconds))
    return _build_target(plan, name, counted_from + _ms(seconds), done_at, words, is_playbook=is_playbook)


def _fix_target(plan: ResponseTimes, hours: BusinessHours, since: int, resolved_at: int | None) -> ResponseTarget:
    days = plan.fix_business_days or 0
    is_playbook = days == ResponseTimes.from_playbook(plan.severity).fix_business_days
    words = f"fix within {days:g} business day{'' if days == 1 else 's'}"
    due_at = hours.add_business_time(since, days)
    return _build_target(plan, "fix", due_at, resolved_at, words, is_playbook=is_playbook)


def _build_target(
    plan: ResponseTimes, name: str, due_at: int, done_at: int | None, words: str, *, is_playbook: bool
) -> ResponseTarget:
    source = "playbook" if is_playbook else "configuration"
    if is_playbook:
        words = _PLAYBOOK_WORDS.get((plan.severity, name), words)
    fields = {"name": name, "due_at": min(due_at, LATEST_MS), "done_at": done_at}
    return ResponseTarget.model_validate(fields | {"source": f"{source}: {plan.severity}, {words}"})


def _severity_since(incident: IncidentState) -> int:
    """Return the time at which rules or a person gave the incident its severity, whichever came first."""
    severity, classification = incident.severity, incident.classification
    by_rules = incident.decided_at if incident.decision.severity == severity else None
    by_person = classification.at if classification is not None and classification.severity == severity else None
    return max(incident.detected_at, _earliest(by_rules, by_person) or 0)


def _earliest(*times: int | None) -> int | None:
    return min((at for at in times if at is not None), default=None)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
