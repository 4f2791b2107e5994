"""Response targets: what is due by when, by severity, and whether it is done.

A P1 and a P2 run by the clock, day and night; the fix of a P3 or P4 counts in business days. The alert's own clock
begins with the detection; whatever a severity asks for begins when the incident got that severity, so that one which is
found to be worse after an hour is not late already.
"""

from dataclasses import dataclass

from pipeline.correlate.incidents import IncidentState
from pipeline.correlate.playbook import PLAYBOOK_TIMES, BusinessHours, ResponseTimes
from pipeline.wording import duration
from schemas.command import Action
from schemas.incident import Audience, ResponseTarget, Severity
from schemas.timestamp import LATEST_MS

LEADERSHIP: Audience = "internal"
"""The audience of the communications that are due: leadership is kept informed; users are told where it is right."""

LOOKED_AT: tuple[Action, ...] = (
    "acknowledge", "classify", "assign", "mitigate", "note", "reopen", "resolve", "accept",
)  # fmt: skip
"""What people do with an incident that they have looked at: each of it answers the classification."""

_WORDS = {
    "classify": "classify",
    "commander": "name an incident commander",
    "contain": "contain",
    "first_communication": "first communication",
    "next_communication": "next communication",
    "review": "review",
}
_PLAYBOOK_WORDS: dict[tuple[Severity, str], str] = {
    ("P1", "contain"): "contain at once, by rollback or kill switch",
    ("P2", "contain"): "roll back within 1 to 2 hours: due at 2 h",
    ("P1", "review"): "review 48 to 72 hours after the resolution: due at 72 h",
    ("P2", "review"): "review 48 to 72 hours after the resolution: due at 72 h",
    ("P3", "fix"): "investigate and fix within 1 business day",
    ("P4", "fix"): "review in the next sprint (14 days, which are 10 business days)",
}


@dataclass(frozen=True, slots=True)
class ResponseProgress:
    """How far people are with an incident. Times are Unix ms; None is what has not been done, as far as it is known.

    ``since`` is when the incident got its severity; ``told_at`` and ``last_told_at`` are the first and the newest
    communication to leadership.
    """

    severity: Severity
    detected_at: int
    since: int
    resolved_at: int | None = None
    classified_at: int | None = None
    commander_at: int | None = None
    contained_at: int | None = None
    told_at: int | None = None
    last_told_at: int | None = None


def response_progress(facts: IncidentState, deployed_at: int | None = None) -> ResponseProgress:
    """How far people are, by an incident's facts and the rollback or kill switch of which only the deployments know.

    Contained is what is contained now: a mitigation that was
    undone, or signals that were back for a while, do not count.
    """
    looked_at = (facts.first_logged_at.get(action) for action in LOOKED_AT)
    return ResponseProgress(
        severity=facts.severity,
        detected_at=facts.detected_at,
        since=_since(facts),
        resolved_at=facts.resolved_at,
        classified_at=_earliest(*looked_at),
        commander_at=facts.commander_named_at,
        contained_at=_earliest(deployed_at, facts.contained_since, facts.resolved_at),
        told_at=facts.first_communicated_at,
        last_told_at=facts.communicated.get(LEADERSHIP),
    )


def response_targets(reached: ResponseProgress, plan: ResponseTimes, hours: BusinessHours) -> list[ResponseTarget]:
    """What is due by when, the most urgent first.

    The next communication counts from the newest one, and from when the first was due while there is none; it is due
    until the incident is resolved. Before that nothing is due of the review.
    """
    since, ended = reached.since, reached.resolved_at
    found = [
        _target(plan, "classify", reached.detected_at, reached.classified_at),
        _target(plan, "commander", since, reached.commander_at),
        _target(plan, "contain", since, reached.contained_at),
        _target(plan, "first_communication", since, reached.told_at),
    ]
    if ended is None and plan.next_communication_s is not None:
        first = since + _ms(plan.first_communication_s or 0)
        found.append(_target(plan, "next_communication", reached.last_told_at or first, None))
    if plan.fix_business_days is not None:
        found.append(_fix(plan, hours, since, ended))
    if ended is not None:
        found.append(_target(plan, "review", ended, None))
    return sorted((target for target in found if target is not None), key=lambda target: target.due_at)


def _target(plan: ResponseTimes, name: str, counted_from: int, done_at: int | None) -> ResponseTarget | None:
    seconds = getattr(plan, f"{name}_s")
    if seconds is None:
        return None
    words = f"{_WORDS[name]} within {duration(seconds)}"
    if name == "next_communication":
        words = f"a communication every {duration(seconds)} while it is open"
    by_playbook = seconds == getattr(PLAYBOOK_TIMES[plan.severity], f"{name}_s")
    return _made(plan, name, counted_from + _ms(seconds), done_at, words, by_playbook=by_playbook)


def _fix(plan: ResponseTimes, hours: BusinessHours, since: int, resolved_at: int | None) -> ResponseTarget:
    days = plan.fix_business_days or 0
    words = f"fix within {days:g} business day{'' if days == 1 else 's'}"
    by_playbook = days == PLAYBOOK_TIMES[plan.severity].fix_business_days
    return _made(plan, "fix", hours.add_business_time(since, days), resolved_at, words, by_playbook=by_playbook)


def _made(
    plan: ResponseTimes, name: str, due_at: int, done_at: int | None, words: str, *, by_playbook: bool
) -> ResponseTarget:
    by = "playbook" if by_playbook else "configuration"
    said = _PLAYBOOK_WORDS.get((plan.severity, name), words) if by_playbook else words
    fields = {"name": name, "due_at": min(due_at, LATEST_MS), "done_at": done_at}
    return ResponseTarget.model_validate(fields | {"source": f"{by}: {plan.severity}, {said}"})


def _since(facts: IncidentState) -> int:
    """When the incident got its severity: by the rules, or by a person's word if that came first."""
    severity, said = facts.severity, facts.classification
    by_rules = facts.decided_at if facts.decision.severity == severity else None
    by_person = said.at if said is not None and said.severity == severity else None
    return max(facts.detected_at, _earliest(by_rules, by_person) or 0)


def _earliest(*times: int | None) -> int | None:
    return min((each for each in times if each is not None), default=None)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
