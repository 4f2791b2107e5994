"""Diagnosis: what failed, because of what, and what has been done about it, from all that is known of an incident."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.correlate.causes.canary import TrafficSplit, traffic_split
from pipeline.correlate.causes.proximity import Onset
from pipeline.correlate.causes.recognition import recognise_failure_mode
from pipeline.correlate.causes.suspects import (
    EXTERNAL_KINDS,
    SuspectEvidence,
    clear_suspect,
    find_deployment,
    rank_suspects,
)
from pipeline.correlate.deployments import (
    DeploymentHistory,
    KnownGood,
    PastIncident,
    RollbackIndex,
    ServedTraffic,
    find_kill_switch_use,
    find_rollback,
    is_declared,
    last_known_good,
)
from pipeline.correlate.incidents import IncidentState
from pipeline.correlate.playbook import FailureMode, failure_modes
from pipeline.correlate.settings import CorrelateSettings
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Suspect


@dataclass(frozen=True, slots=True)
class DiagnosisContext:
    """What correlate knows beside an incident's own facts.

    ``shifts`` are the workload drifts of its subject, ``others`` the other incidents of it: when they began, and how bad
    they are, speaks against versions. ``clock`` is the incident's, Unix ms: what is deployed later has not happened yet.
    """

    deployments: DeploymentHistory
    workload_shifts: Sequence[Drift]
    others: Sequence[IncidentState]
    clock: int


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``earlier`` are the deployments up to the detection, within the look-back; ``later`` those until the end or now.

    ``taken_back`` has by the ids of later ones that are rollbacks what they take back. ``back`` is the version that a
    rollback brings back, ``split`` the traffic between versions, ``rollback`` and ``switched_off`` the deployments that
    contained it, where there are any.
    """

    mode: FailureMode
    suspects: list[Suspect]
    earlier: list[Deployment]
    later: list[Deployment]
    taken_back: dict[str, str]
    back: KnownGood | None
    split: TrafficSplit | None
    rollback: Deployment | None
    switched_off: Deployment | None


def diagnose(
    facts: IncidentState, served: ServedTraffic, known: DiagnosisContext, settings: CorrelateSettings
) -> Diagnosis:
    """Diagnose an incident; ``served`` says which deployments touch it."""
    until = known.clock if facts.resolved_at is None else min(known.clock, facts.resolved_at)
    earliest = facts.started_at - round(settings.lookback_s * 1000)
    earlier = list(known.deployments.affecting(served, earliest, facts.start_seen_at))
    later = list(known.deployments.affecting(served, facts.start_seen_at + 1, until))
    lead, shown = facts.decision.drift, [each.published for each in facts.tracked.values()]
    first_uses = [each for each in facts.drifts if each.detector == "first_seen"]
    undeclared = [
        each
        for each in (*known.workload_shifts, *first_uses)
        if not is_declared(each, known.deployments.affecting(served, 0, until))
    ]  # fmt: skip

    moves = SuspectEvidence(facts.drifts, shown, undeclared, facts.membership.scope, len(facts.subjects))

    def suspected(mode: FailureMode) -> list[Suspect]:
        onset = Onset(facts.started_at, facts.start_seen_at, mode, settings.start_error_s)
        return rank_suspects(onset, _in_effect(earlier, facts.started_at), moves, settings)

    found = suspected(failure_modes.failure_mode_of(lead))
    clear = clear_suspect(found)
    outside = served.provider is not None and (clear is None or clear.kind in EXTERNAL_KINDS)
    mode = recognise_failure_mode(
        lead, [*shown, *known.workload_shifts], clear, settings.join_window_s * 1000, outside=outside
    )
    if mode != failure_modes.failure_mode_of(lead):
        found = suspected(mode)
    cause, back, split = find_deployment(clear_suspect(found), earlier), None, None
    if cause is not None and cause.kind not in EXTERNAL_KINDS:
        past = [PastIncident(each.started_at, each.severity) for each in known.others]
        line = known.deployments.affecting(served, 0, until)
        back = last_known_good(cause, line, past, round(settings.start_error_s * 1000))
        split = traffic_split(cause, shown)
    rollback = find_rollback(cause, back, [*earlier, *later])
    off = find_kill_switch_use(settings.kill_switches.get(facts.subject), later)
    return Diagnosis(mode, found, earlier, later, _taken_back(earlier, later), back, split, rollback, off)


def _taken_back(earlier: Iterable[Deployment], later: Sequence[Deployment]) -> dict[str, str]:
    rollbacks, found = RollbackIndex([*earlier, *later]), {}
    for each in later:
        taken = rollbacks.reverted(each)
        # A rollback may be of something older than what is kept.
        name = each.rollback_of or (None if taken is None else taken.deployment_id)
        if name is not None:
            found[each.deployment_id] = name
    return found


def _in_effect(deployments: Sequence[Deployment], started_at: int) -> list[Deployment]:
    """Those that can have caused it: not taken back before the start, and no rollback made because of it."""
    before = RollbackIndex(each for each in deployments if each.timestamp <= started_at)
    every = RollbackIndex(deployments)
    return [
        each
        for each in deployments
        if not before.is_reverted(each) and (each.timestamp <= started_at or every.reverted(each) is None)
    ]
