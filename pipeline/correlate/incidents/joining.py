"""Joining: which incident a new drift belongs to, and why.

Drifts of one subject belong together where they plausibly share a cause. In this order:

``same signal``      the incident has the same signal moving the same way;
``same family``      the incident has met the same family of failures: serving, data, output or safety;
``same moment``      both began within ``simultaneous_window_s`` and can share a cause: one change moves many signals;
``downstream``       the incident is one of serving or data, which spoils outputs a little later.

Two failures can share a cause where one family spoils the other, where the same kind of change usually causes both, or
where what usually causes one can spoil outputs (the table of failure modes). A prompt that makes a bot leak and refuse is
one incident, and so are jailbreaks and the refusals that they meet. A wave of jailbreaks, which attackers cause, and an
index that goes stale, which no question does, are two even if they begin in the same second.

The same signal also joins an incident that has resolved, if it is off again within ``reopen_window_s``. All else only
within ``join_window_s`` of the incident's time, which reaches from its start to its last firing or
recovery. So a refusal spike and an index that goes stale a quarter of an hour later are two incidents, also while the
first is still open. Of several incidents one with a start of the same moment is taken, by the order of reasons, else the
one with the nearest start of a drift.
"""

from collections.abc import Iterable

from pipeline.correlate.incidents.facts import IncidentState
from pipeline.correlate.playbook import FailureMode, failure_modes
from pipeline.correlate.settings import CorrelateSettings
from schemas.drift import Drift

SAME_MOMENT = "same moment"
CAME_BACK = "the same signal, off again soon after"


def find_incident(
    drift: Drift, incidents: Iterable[IncidentState], settings: CorrelateSettings
) -> tuple[IncidentState, str] | None:
    """The incident that a firing drift joins, with the reason; None if it opens one of its own."""
    fitting = [
        (_distance(drift, facts, reason, settings.simultaneous_window_s), facts.incident_id, facts, reason)
        for facts in incidents
        if (reason := reason_to_join(drift, facts, settings)) is not None
    ]
    if not fitting:
        return None
    _, _, facts, reason = min(fitting, key=lambda each: each[:2])
    return facts, reason


def can_share_cause(one: FailureMode, other: FailureMode) -> bool:
    """Whether one cause can plausibly bring about two failure modes.

    >>> from pipeline.correlate.playbook.failure_modes import MODES
    >>> can_share_cause(MODES["pii_exposure"], MODES["refusal_spike"])
    True
    >>> can_share_cause(MODES["jailbreak_wave"], MODES["stale_index"])
    False
    """
    if one.family == other.family or _spoils(one, other) or _spoils(other, one):
        return True
    if set(one.usual_causes) & set(other.usual_causes):
        return True
    pairs = [(this, that) for this, that in ((one, other), (other, one)) if that.family == "output"]
    return any(set(this.usual_causes) & set(that.possible_causes) for this, that in pairs)


def reason_to_join(drift: Drift, facts: IncidentState, settings: CorrelateSettings) -> str | None:
    """Why a drift belongs to an incident; None if it does not.

    An incident that a person closed takes nothing more. One that resolved by itself takes, and is opened again by, what
    began before that, and the same signal if it is soon off again: a signal that flaps is one incident.
    """
    if drift.subject != facts.subject or facts.closed_by is not None:
        return None
    if facts.resolved_at is not None and drift.started_at > facts.resolved_at:
        is_soon = drift.started_at <= facts.resolved_at + settings.reopen_window_s * 1000
        return CAME_BACK if is_soon and _has_moved(drift, facts) else None
    window_ms = settings.join_window_s * 1000
    if drift.started_at > facts.last_change_at + window_ms:
        return None
    if _has_moved(drift, facts):
        return "same signal"
    if drift.started_at < facts.started_at - window_ms:
        return None
    family, together_ms = failure_modes.failure_mode_of(drift).family, settings.simultaneous_window_s * 1000
    if family in facts.families:
        return "same family"
    is_same_moment = abs(drift.started_at - facts.started_at) <= together_ms
    if is_same_moment and any(
        can_share_cause(failure_modes.failure_mode_of(drift), failure_modes.failure_mode_of(each))
        for each in facts.drifts
    ):
        return SAME_MOMENT
    spoils = any(family in failure_modes.DOWNSTREAM.get(each, ()) for each in facts.families)
    return "downstream" if spoils and drift.started_at >= facts.started_at - together_ms else None


def _spoils(one: FailureMode, other: FailureMode) -> bool:
    return other.family in failure_modes.DOWNSTREAM.get(one.family, ())


def _has_moved(drift: Drift, facts: IncidentState) -> bool:
    return any((each.signal, each.side) == (drift.signal, drift.side) for each in facts.drifts)


def _distance(
    drift: Drift, facts: IncidentState, reason: str, simultaneous_window_s: float
) -> tuple[bool, bool, bool, int]:
    nearest = min(abs(drift.started_at - each.started_at) for each in facts.drifts)
    is_near = nearest <= simultaneous_window_s * 1000
    return (reason not in ("same signal", CAME_BACK), not is_near, is_near and reason == SAME_MOMENT, nearest)
