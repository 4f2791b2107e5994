"""The material of a review: the messages about one incident, in order, and its important times."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.correlate.deployments import DeploymentHistory, KnownGood, RollbackIndex, ServedTraffic, find_rollback
from pipeline.review.drift_history import DriftHistory
from schemas.baseline import Baseline
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import CLOSED, Incident, SignalEvidence, Suspect

LOOK_BACK_MS = 3_600_000
"""Milliseconds before the start from which deployments and other drifts of the subject are included."""


@dataclass(frozen=True, slots=True)
class Material:
    """Messages that a review is based on. Build it with :meth:`select`.

    ``revisions`` contains at least one revision, in order. ``drifts`` are in order of time, one message per state of a
    drift. ``deployments`` are in order of time. ``baseline`` is the baseline that the drifts used, or the newest
    baseline if that baseline is unknown. It may be None.
    """

    revisions: tuple[Incident, ...]
    drifts: tuple[Drift, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    baseline: Baseline | None = None

    @classmethod
    def select(
        cls,
        revisions: Iterable[Incident],
        drifts: Iterable[Drift] = (),
        deployments: Iterable[Deployment] = (),
        baselines: Iterable[Baseline] = (),
    ) -> "Material":
        """Select and sort the messages about an incident.

        Parameters
        ----------
        revisions
            The known revisions of one incident, at least one, in any order.
        drifts
            Any drifts. The drifts in the evidence and other drifts of the subject in the same period are selected.
        deployments
            Any deployments. Deployments that affect the subject are selected, from an hour before the start to the end.
            If two deployments have the same id, the later deployment is used.
        baselines
            Any baselines, newest last. The baseline that the evidence refers to is selected. If it is missing, the
            newest baseline of the subject is selected.

        Raises
        ------
        ValueError
            If there is no revision, or there are several incidents.
        """
        by_number = {incident.revision: incident for incident in revisions}
        if len({incident.incident_id for incident in by_number.values()}) != 1:
            raise ValueError("a review covers one incident: give the revisions of one incident")
        ordered = tuple(by_number[number] for number in sorted(by_number))
        revisions_only = cls(ordered)
        incident, end = revisions_only.incident, revisions_only.end
        begin = incident.started_at - LOOK_BACK_MS
        served = ServedTraffic(incident.subject, incident.environment, incident.provider)
        drift_ids = {line.drift_id for line in incident.evidence}
        states = {
            (drift.drift_id, drift.sequence): drift
            for drift in drifts
            if drift.drift_id in drift_ids
            or (drift.subject == incident.subject and drift.started_at <= end and drift.updated_at >= begin)
        }
        sent = list(deployments)
        history = DeploymentHistory(max(len(sent), 1))
        for deployment in sent:
            history.add(deployment)
        evidence = [drift for drift in states.values() if drift.drift_id in drift_ids]
        return cls(
            ordered,
            tuple(sorted(states.values(), key=lambda drift: (drift.updated_at, drift.drift_id, drift.sequence))),
            tuple(history.affecting(served, begin, end)),
            _select_baseline(baselines, evidence, incident.subject),
        )

    @property
    def incident(self) -> Incident:
        """The newest revision."""
        return self.revisions[-1]

    @property
    def is_open(self) -> bool:
        """Whether the incident is open."""
        return self.incident.status not in CLOSED

    @property
    def end(self) -> int:
        """Time of the resolution, or of the newest revision if the incident is not resolved."""
        return self.incident.resolved_at or self.incident.updated_at

    @property
    def recovered_at(self) -> int | None:
        """Time at which the last signal recovered. None if a signal has not recovered or the log lacks the time."""
        if any(line.state != "recovered" for line in self.incident.evidence):
            return None
        return max((entry.at for entry in self.incident.log if entry.event == "recovered"), default=None)

    @property
    def leading_signal(self) -> SignalEvidence | None:
        """The signal that represents the incident: page tier before ticket tier, and then the first that fired."""
        return next(iter(self.signals), None)

    @property
    def signals(self) -> list[SignalEvidence]:
        """One line of evidence per signal: page tier first, then in order of firing."""
        ordered = sorted(self.incident.evidence, key=lambda line: (line.tier != "page", line.detected_at))
        first = {line.signal: line for line in reversed(ordered)}
        return [line for line in ordered if first[line.signal] is line]

    @property
    def missing_revisions(self) -> int:
        """The number of revisions that are no longer on the topic."""
        return self.incident.revision - len(self.revisions)

    @property
    def rollbacks(self) -> list[Deployment]:
        """The deployments since the detection that revert another deployment."""
        return [
            deployment
            for deployment in self.deployments
            if deployment.timestamp >= self.incident.detected_at
            and (
                deployment.rollback_of is not None
                or any(RollbackIndex.reverts(deployment, other) for other in self.deployments)
            )
        ]

    @property
    def other_changes(self) -> int:
        """The number of deployments during the incident, without its rollbacks."""
        return sum(entry.event == "deployment" for entry in self.incident.log)

    def history(self, line: SignalEvidence) -> DriftHistory:
        """Return the messages about the drift of a line of evidence."""
        return DriftHistory(tuple(drift for drift in self.drifts if drift.drift_id == line.drift_id))

    def first_logged_at(self, event: str) -> int | None:
        """Return the time of the first running-log line with an event, or None if there is none."""
        return min((entry.at for entry in self.incident.log if entry.event == event), default=None)

    def find_deployment(self, suspect: Suspect) -> Deployment | None:
        """Return the deployment of a suspect, or None if it is not a deployment or is unknown."""
        return next(
            (deployment for deployment in self.deployments if deployment.deployment_id == suspect.deployment_id), None
        )

    def find_rollback(self, suspect: Suspect) -> Deployment | None:
        """Return the first deployment that reverts a suspect or deploys the version that the incident proposed."""
        proposed = [step for incident in self.revisions for step in incident.containment if step.action == "rollback"]
        good = next((KnownGood(step.to_version) for step in reversed(proposed) if step.to_version is not None), None)
        return find_rollback(self.find_deployment(suspect), good, list(self.deployments))


def _select_baseline(baselines: Iterable[Baseline], evidence: Iterable[Drift], subject: str) -> Baseline | None:
    of_subject = [baseline for baseline in baselines if baseline.subject == subject]
    named = {drift.baseline_version for drift in evidence}
    newest = of_subject[-1] if of_subject else None
    return next((baseline for baseline in reversed(of_subject) if baseline.baseline_version in named), newest)
