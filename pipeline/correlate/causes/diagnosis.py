"""Diagnosis of an incident: the failure mode, the suspects, and the deployments that contained it.

To understand how suspects are ranked, read these modules in this order:

1. ``causes/diagnosis.py`` selects the deployments and drifts that can explain the incident.
2. ``deployments/deployments.py`` finds the deployments that affect a subject, are reverted, or declare a version.
3. ``playbook/failure_modes.py`` recognises the failure mode, and rates how well a kind of change explains it.
4. ``causes/suspects.py`` scores, sorts and limits the suspects.
5. ``causes/proximity.py`` rates how close in time a suspect is to the start.
6. ``causes/version_split.py`` compares a version with other versions in the same minutes.
7. ``causes/other_causes.py`` finds suspects that are not deployments.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.correlate.causes.canary import TrafficSplit, find_traffic_split
from pipeline.correlate.causes.proximity import Onset
from pipeline.correlate.causes.suspects import EXTERNAL_KINDS, SuspectEvidence, clear_suspect, rank_suspects
from pipeline.correlate.deployments import DeploymentHistory, KnownGood, RollbackIndex, ServedTraffic, find_rollback
from pipeline.correlate.incidents import IncidentState
from pipeline.correlate.playbook import FailureMode, failure_modes
from pipeline.correlate.settings import CorrelateSettings
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Suspect

_OFF_VERSIONS = ("off", "false", "disabled", "0", "0%")
"""Flag versions that switch a feature off."""


@dataclass(frozen=True, slots=True)
class DiagnosisContext:
    """Inputs of a diagnosis other than the incident itself.

    ``workload_shifts`` are the workload drifts of the subject. ``other_incidents`` are the subject's other incidents,
    which count against the versions that were live at the time. ``clock`` is the incident's clock in Unix ms; later
    deployments are ignored.
    """

    deployments: DeploymentHistory
    workload_shifts: Sequence[Drift]
    other_incidents: Sequence[IncidentState]
    clock: int


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The diagnosis of an incident.

    ``earlier_deployments`` went live in the look-back window, up to the detection. ``later_deployments`` went live
    between the detection and the resolution (or now). ``reverted_ids`` maps the key of each later rollback (see
    :meth:`DeploymentHistory.key`) to the id of the deployment that it reverts. ``known_good`` is the version to roll back to, and ``traffic_split`` is the split of
    the traffic between versions. ``rollback`` and ``kill_switch_use`` are the deployments that contained the incident,
    if any.
    """

    failure_mode: FailureMode
    suspects: list[Suspect]
    earlier_deployments: list[Deployment]
    later_deployments: list[Deployment]
    reverted_ids: dict[str, str]
    known_good: KnownGood | None
    traffic_split: TrafficSplit | None
    rollback: Deployment | None
    kill_switch_use: Deployment | None


def diagnose(
    incident: IncidentState, served: ServedTraffic, context: DiagnosisContext, settings: CorrelateSettings
) -> Diagnosis:
    """Diagnose an incident. ``served`` is its traffic, which determines the deployments that affect it."""
    until = context.clock if incident.resolved_at is None else min(context.clock, incident.resolved_at)
    earliest = incident.started_at - round(settings.lookback_s * 1000)
    earlier = list(context.deployments.affecting(served, earliest, incident.start_seen_at))
    later = list(context.deployments.affecting(served, incident.start_seen_at + 1, until))
    lead, published = incident.decision.drift, [tracked.published for tracked in incident.tracked.values()]
    first_uses = [drift for drift in incident.drifts if drift.detector == "first_seen"]
    undeclared = [
        drift
        for drift in (*context.workload_shifts, *first_uses)
        if not context.deployments.declares(drift, served, until)
    ]
    evidence = SuspectEvidence(
        lead, incident.drifts, published, undeclared, incident.membership.scope, len(incident.subjects)
    )

    def suspects_for(mode: FailureMode) -> list[Suspect]:
        onset = Onset(incident.started_at, incident.start_seen_at, mode, settings.start_error_s)
        return rank_suspects(onset, _in_effect(earlier, incident.started_at), evidence, settings)

    # The suspects depend on the failure mode, and the failure mode on the first suspect.
    suspects = suspects_for(failure_modes.failure_mode_of(lead))
    clear = clear_suspect(suspects)
    mode = failure_modes.recognise_failure_mode(
        lead,
        [*published, *context.workload_shifts],
        None if clear is None else clear.kind,
        settings.join_window_s * 1000,
        may_be_external=served.provider is not None and (clear is None or clear.kind in EXTERNAL_KINDS),
    )
    if mode != failure_modes.failure_mode_of(lead):
        suspects = suspects_for(mode)

    cause, known_good, split = _find_cause(suspects, earlier), None, None
    if cause is not None and cause.kind not in EXTERNAL_KINDS:
        past_incidents = [(other.started_at, other.severity) for other in context.other_incidents]
        history = context.deployments.affecting(served, 0, until)
        known_good = KnownGood.find(cause, history, past_incidents, round(settings.start_error_s * 1000))
        split = find_traffic_split(cause, published)
    return Diagnosis(
        failure_mode=mode,
        suspects=suspects,
        earlier_deployments=earlier,
        later_deployments=later,
        reverted_ids=_reverted_ids(earlier, later),
        known_good=known_good,
        traffic_split=split,
        rollback=find_rollback(cause, known_good, [*earlier, *later]),
        kill_switch_use=_find_kill_switch_use(settings.kill_switches.get(incident.subject), later),
    )


def _in_effect(deployments: Sequence[Deployment], started_at: int) -> list[Deployment]:
    """Return possible causes, excluding deployments reverted before the start and rollbacks deployed after it."""
    before = RollbackIndex(deployment for deployment in deployments if deployment.timestamp <= started_at)
    index = RollbackIndex(deployments)
    return [
        deployment
        for deployment in deployments
        if not before.is_reverted(deployment)
        and (deployment.timestamp <= started_at or index.find_reverted(deployment) is None)
    ]


def _find_cause(suspects: Sequence[Suspect], deployments: Iterable[Deployment]) -> Deployment | None:
    """Return the most likely cause if it is a deployment, or None."""
    clear = clear_suspect(suspects)
    return next((change for change in deployments if clear is not None and _is_named(change, clear)), None)


def _is_named(change: Deployment, suspect: Suspect) -> bool:
    """Return whether a suspect is this deployment. Deployments of several scopes and kinds can have one id."""
    return (change.deployment_id, change.kind, change.timestamp, change.from_version, change.to_version) == (
        suspect.deployment_id,
        suspect.kind,
        suspect.at,
        suspect.from_version,
        suspect.to_version,
    )


def _reverted_ids(earlier: Iterable[Deployment], later: Sequence[Deployment]) -> dict[str, str]:
    index, reverted_ids = RollbackIndex([*earlier, *later]), {}
    for deployment in later:
        reverted = index.find_reverted(deployment)
        # A rollback can refer to a deployment that is no longer stored.
        reverted_id = deployment.rollback_of or (None if reverted is None else reverted.deployment_id)
        if reverted_id is not None:
            reverted_ids[DeploymentHistory.key(deployment)] = reverted_id
    return reverted_ids


def _find_kill_switch_use(flag: str | None, deployments: Iterable[Deployment]) -> Deployment | None:
    """Return the newest change of a flag if it switched the feature off, or None."""
    changes = [change for change in deployments if flag is not None and (change.kind, change.name) == ("flag", flag)]
    return changes[-1] if changes and (changes[-1].to_version or "").lower() in _OFF_VERSIONS else None
