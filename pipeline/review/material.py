"""The material of a review: what the topics hold of one incident, in order, and the moments that matter in it."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.correlate.deployments import KnownGood, RollbackIndex, ServedTraffic, find_rollback
from schemas.baseline import Baseline
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Incident, SignalEvidence, Suspect

LOOK_BACK_MS = 3_600_000
"""Milliseconds before the start from which deployments and other drifts of the subject are told."""

CLOSED = ("resolved", "merged")


@dataclass(frozen=True, slots=True)
class Material:
    """What a review is made from; made by :func:`material`.

    ``revisions`` are in order of revision, at least one; ``drifts`` in order of time, each state of a drift a message of
    its own; ``deployments`` in order of time. ``baseline`` is the one that the subject was judged by, or its newest where
    that cannot be said; None if there is none at hand.
    """

    revisions: tuple[Incident, ...]
    drifts: tuple[Drift, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    baseline: Baseline | None = None

    @property
    def incident(self) -> Incident:
        """The incident as it is now."""
        return self.revisions[-1]

    @property
    def is_open(self) -> bool:
        """Whether things can still happen in it."""
        return self.incident.status not in CLOSED

    @property
    def end(self) -> int:
        """When it was resolved; of one that is not, when something of it was last heard."""
        return self.incident.resolved_at or self.incident.updated_at

    @property
    def recovered_at(self) -> int | None:
        """When the last signal came back; None while one is off, or where the log does not say."""
        if any(line.state != "recovered" for line in self.incident.evidence):
            return None
        return max((entry.at for entry in self.incident.log if entry.event == "recovered"), default=None)

    @property
    def lead(self) -> SignalEvidence | None:
        """The signal that the incident is told by: page tier first, then the one that fired first."""
        return next(iter(self.lines), None)

    @property
    def lines(self) -> list[SignalEvidence]:
        """The evidence, one line a signal: page tier first, then in order of firing."""
        ordered = sorted(self.incident.evidence, key=lambda line: (line.tier != "page", line.detected_at))
        first = {line.signal: line for line in reversed(ordered)}
        return [line for line in ordered if first[line.signal] is line]

    @property
    def revisions_missing(self) -> int:
        """Revisions that are no longer on the topic."""
        return self.incident.revision - len(self.revisions)

    def messages(self, drift_id: str) -> list[Drift]:
        """The states of one drift that are at hand, the oldest first."""
        return [drift for drift in self.drifts if drift.drift_id == drift_id]

    def logged(self, *events: str) -> int | None:
        """When the running log first tells one of some events; None if it does not."""
        return min((entry.at for entry in self.incident.log if entry.event in events), default=None)

    def deployment_of(self, suspect: Suspect) -> Deployment | None:
        """The deployment that a suspect is, if it is one and is at hand."""
        return next((each for each in self.deployments if each.deployment_id == suspect.deployment_id), None)

    def rollback_of(self, suspect: Suspect) -> Deployment | None:
        """The first deployment that takes a suspect back, or brings the version that the incident said to go back to."""
        steps = [step for each in self.revisions for step in each.containment if step.action == "rollback"]
        good = next((KnownGood(step.to_version) for step in reversed(steps) if step.to_version is not None), None)
        return find_rollback(self.deployment_of(suspect), good, self.deployments)

    @property
    def rollbacks(self) -> list[Deployment]:
        """The deployments since the detection that take another one back."""
        return [
            each
            for each in self.deployments
            if each.timestamp >= self.incident.detected_at
            and (each.rollback_of is not None or any(RollbackIndex.reverts(each, other) for other in self.deployments))
        ]


def material(
    revisions: Iterable[Incident],
    drifts: Iterable[Drift] = (),
    deployments: Iterable[Deployment] = (),
    baselines: Iterable[Baseline] = (),
) -> Material:
    """Choose and order what concerns an incident.

    Parameters
    ----------
    revisions
        Of one incident, those at hand, in any order; at least one.
    drifts
        Any messages of drifts. Kept are those of the evidence, and others of the subject in the same time.
    deployments
        Any. Kept are those that touch the subject from an hour before the start to the end; of one told twice the later.
    baselines
        Any, the newest last. Kept is the one of the subject that the evidence names, or else its newest.

    Raises
    ------
    ValueError
        If there is no revision, or they are of several incidents.
    """
    known = {each.revision: each for each in revisions}
    if len({each.incident_id for each in known.values()}) != 1:
        raise ValueError("a review is of one incident: give the revisions of one")
    ordered = tuple(known[number] for number in sorted(known))
    now = Material(ordered)
    incident, first, last = now.incident, now.incident.started_at - LOOK_BACK_MS, now.end
    served = ServedTraffic(incident.subject, incident.environment, incident.provider)
    ids = {line.drift_id for line in incident.evidence}
    states = {
        (drift.drift_id, drift.sequence): drift
        for drift in drifts
        if drift.drift_id in ids
        or (drift.subject == incident.subject and drift.started_at <= last and drift.updated_at >= first)
    }
    told = {each.deployment_id: each for each in deployments}
    return Material(
        ordered,
        tuple(sorted(states.values(), key=lambda each: (each.updated_at, each.drift_id, each.sequence))),
        tuple(
            sorted(
                (each for each in told.values() if served.is_affected_by(each) and first <= each.timestamp <= last),
                key=lambda each: (each.timestamp, each.deployment_id),
            )
        ),
        _baseline(baselines, [drift for drift in states.values() if drift.drift_id in ids], incident.subject),
    )


def _baseline(baselines: Iterable[Baseline], evidence: Iterable[Drift], subject: str) -> Baseline | None:
    known = [each for each in baselines if each.subject == subject]
    named = {drift.baseline_version for drift in evidence}
    return next((each for each in reversed(known) if each.baseline_version in named), known[-1] if known else None)
