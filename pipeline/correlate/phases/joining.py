"""Joining: selection of the incident that a new drift belongs to, with the reason.

Drifts of one subject belong together if they plausibly share a cause. The reasons, in this order:

``same signal``      the incident has the same signal moving in the same direction;
``same family``      the incident has the same family of failures: serving, data, output or safety;
``same moment``      both began within ``simultaneous_window_s`` and can share a cause: one change moves many signals;
``downstream``       the incident is a failure of serving or data, which degrades outputs shortly afterwards.

Two failures can share a cause if one family affects the other family, if the same kind of change usually causes both,
or if a usual cause of one failure can degrade outputs (see the table of failure modes). A prompt that makes a bot leak
data and refuse requests causes one incident. So do jailbreaks and the resulting refusals. A wave of jailbreaks and a
stale index are two incidents even if they begin in the same second: attackers cause the first, and no user input can
cause the second.

The same signal also joins a resolved incident if it fires again within ``reopen_window_s``. All other drifts join only
within ``join_window_s`` of the incident, which lasts from its start to its last firing or recovery. So a refusal spike
and an index that goes stale a quarter of an hour later are two incidents, even while the first is open. If several
incidents match, an incident with the same signal comes first, then an incident with a simultaneous start (by the order
of reasons), then the incident with the nearest start of a drift.
"""

from collections.abc import Iterable

from pipeline.correlate.incidents import IncidentState
from pipeline.correlate.playbook import FailureMode, failure_modes
from pipeline.correlate.settings import CorrelateSettings
from schemas.drift import Drift

SAME_SIGNAL = "same signal"
SAME_MOMENT = "same moment"
FIRED_AGAIN = "same signal, fired again soon after the resolution"


def find_incident(
    drift: Drift, incidents: Iterable[IncidentState], settings: CorrelateSettings
) -> tuple[IncidentState, str] | None:
    """Return the incident that a firing drift joins, with the reason, or None if it opens a new incident."""
    fitting = [
        (_distance(drift, incident, reason, settings.simultaneous_window_s), incident.incident_id, incident, reason)
        for incident in incidents
        if (reason := reason_to_join(drift, incident, settings)) is not None
    ]
    if not fitting:
        return None
    _, _, incident, reason = min(fitting, key=lambda one: one[:2])
    return incident, reason


def can_share_cause(one: FailureMode, other: FailureMode) -> bool:
    """Return whether two failure modes can plausibly have the same cause.

    >>> from pipeline.correlate.playbook.failure_modes import MODES
    >>> can_share_cause(MODES["pii_exposure"], MODES["refusal_spike"])
    True
    >>> can_share_cause(MODES["jailbreak_wave"], MODES["stale_index"])
    False
    """
    if one.family == other.family or _can_spoil(one, other) or _can_spoil(other, one):
        return True
    if set(one.usual_causes) & set(other.usual_causes):
        return True
    pairs = [(cause, effect) for cause, effect in ((one, other), (other, one)) if effect.family == "output"]
    return any(set(cause.usual_causes) & set(effect.possible_causes) for cause, effect in pairs)


def reason_to_join(drift: Drift, incident: IncidentState, settings: CorrelateSettings) -> str | None:
    """Return the reason why a drift belongs to an incident, or None if it does not.

    An incident that a person closed accepts no more drifts. An incident that resolved by itself accepts drifts that
    began before its resolution, and the same signal if it fires again soon, because a flapping signal is one incident.
    Both reopen the incident.
    """
    if drift.subject != incident.subject or incident.closed_by is not None:
        return None
    if incident.resolved_at is not None and drift.started_at > incident.resolved_at:
        is_soon = drift.started_at <= incident.resolved_at + settings.reopen_window_s * 1000
        return FIRED_AGAIN if is_soon and _has_signal(incident, drift) else None
    window_ms = settings.join_window_s * 1000
    if drift.started_at > incident.last_change_at + window_ms:
        return None
    if _has_signal(incident, drift):
        return SAME_SIGNAL
    if drift.started_at < incident.started_at - window_ms:
        return None
    mode, simultaneous_ms = failure_modes.failure_mode_of(drift), settings.simultaneous_window_s * 1000
    if mode.family in incident.families:
        return "same family"
    is_same_moment = abs(drift.started_at - incident.started_at) <= simultaneous_ms
    if is_same_moment and any(can_share_cause(mode, failure_modes.failure_mode_of(known)) for known in incident.drifts):
        return SAME_MOMENT
    is_spoiled = any(mode.family in failure_modes.DOWNSTREAM.get(family, ()) for family in incident.families)
    return "downstream" if is_spoiled and drift.started_at >= incident.started_at - simultaneous_ms else None


def _can_spoil(one: FailureMode, other: FailureMode) -> bool:
    return other.family in failure_modes.DOWNSTREAM.get(one.family, ())


def _has_signal(incident: IncidentState, drift: Drift) -> bool:
    return any((known.signal, known.side) == (drift.signal, drift.side) for known in incident.drifts)


def _distance(
    drift: Drift, incident: IncidentState, reason: str, simultaneous_window_s: float
) -> tuple[bool, bool, bool, int]:
    nearest_ms = min(abs(drift.started_at - known.started_at) for known in incident.drifts)
    is_near = nearest_ms <= simultaneous_window_s * 1000
    is_same_signal = reason in (SAME_SIGNAL, FIRED_AGAIN)
    return (not is_same_signal, not is_near, is_near and reason == SAME_MOMENT, nearest_ms)
