"""The deployments kept to be suspects: bounded, in order of event time, and whom each one touches."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.correlate.bounded_store import BoundedStore
from schemas.deployment import Deployment

LABEL_LENGTH_MAX = 200
"""Characters of a label in records; what is longer is cut."""


@dataclass(frozen=True, slots=True)
class ServedTraffic:
    """What an incident is about, for a deployment to match."""

    subject: str
    environment: str | None
    provider: str | None


class DeploymentHistory:
    """The deployments that arrived last, at most ``limit`` of them, found by event time."""

    def __init__(self, limit: int) -> None:
        self._kept = BoundedStore[Deployment](limit)
        self._times: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, deployment: Deployment) -> list[str] | None:
        """Keep a deployment; the ids of those that made room, or None if it is known already.

        The same id with other content is a correction and takes the place of the first.
        """
        known = self._kept.get(deployment.deployment_id)
        if known == deployment:
            return None
        if known is not None:
            self._times.remove((known.timestamp, known.deployment_id))
        insort(self._times, (deployment.timestamp, deployment.deployment_id))
        gone = self._kept.add(deployment.deployment_id, deployment)
        for key, dropped in gone:
            self._times.remove((dropped.timestamp, key))
        return [key for key, _ in gone]

    def affecting(self, served: ServedTraffic, first_ms: int, last_ms: int) -> Iterator[Deployment]:
        """The deployments that touch it with event times from first to last, both included, in order of time."""
        for place in range(bisect_left(self._times, (first_ms, "")), bisect_left(self._times, (last_ms + 1, ""))):
            deployment = self._kept.get(self._times[place][1])
            if deployment is not None and affects(deployment, served):
                yield deployment

    def dump(self, deployment_id: str) -> dict[str, Any] | None:
        """The state of one, for JSON; None if it is not kept."""
        deployment = self._kept.get(deployment_id)
        if deployment is None:
            return None
        return {
            "arrival": self._kept.arrival_number(deployment_id),
            "deployment": deployment.model_dump(exclude_none=True),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up one that :meth:`dump` gave out."""
        deployment = Deployment.model_validate(state["deployment"])
        self._kept.restore(int(state["arrival"]), deployment.deployment_id, deployment)
        insort(self._times, (deployment.timestamp, deployment.deployment_id))


def has_scope(deployment: Deployment) -> bool:
    """Whether it names a subject, an environment or a provider; one that names none can never be matched."""
    return any(scope is not None for scope in (deployment.subject, deployment.environment, deployment.provider))


def affects(deployment: Deployment, served: ServedTraffic) -> bool:
    """Whether a deployment changes what serves a subject.

    A deployment that names a subject touches that one alone; one that names an environment, a provider, or both,
    touches all that are served in and by them.
    """
    if deployment.subject is not None:
        return deployment.subject == served.subject
    return (
        has_scope(deployment)
        and deployment.environment in (None, served.environment)
        and deployment.provider in (None, served.provider)
    )


def reverts(later: Deployment, earlier: Deployment) -> bool:
    """Whether the later deployment is the rollback of the earlier one: it says so, or it brings the old version back."""
    if later.deployment_id == earlier.deployment_id or later.timestamp < earlier.timestamp:
        return False
    if later.rollback_of is not None:
        return later.rollback_of == earlier.deployment_id
    return (
        component_of(later) == component_of(earlier)
        and later.to_version is not None
        and later.to_version == earlier.from_version
        and later.from_version in (None, earlier.to_version)
    )


def component_of(deployment: Deployment) -> tuple[str, str | None, str | None]:
    """What versions follow each other in: the kind, which one of it, and the subject whose own it is, if it is one's own."""
    return (deployment.kind, deployment.name, deployment.subject)


def version_labels(deployment: Deployment) -> list[str]:
    """The labels by which records may tell that a deployment's version served them; none if it names no version.

    >>> labels_of(Deployment(deployment_id="d-1", timestamp=1795489900000, kind="flag", name="rerank", to_version="on"))
    ['flag:rerank=on', 'rerank=on', 'flag=on']
    """
    if deployment.to_version is None:
        return []
    kind, name = deployment.kind, deployment.name
    kinds = [kind] if name is None else [f"{kind}:{name}", name, kind]
    return [f"{each}={deployment.to_version}"[:LABEL_LENGTH_MAX] for each in kinds]


def describe_change(deployment: Deployment) -> str:
    """What a deployment changed, in words.

    >>> change(Deployment(deployment_id="d-1", timestamp=1795489900000, kind="prompt", from_version="v41",
    ...                   to_version="v42", subject="support-bot"))
    'prompt v41 -> v42'
    """
    what = deployment.kind.replace("_", " ") + (f" {deployment.name}" if deployment.name else "")
    if deployment.from_version and deployment.to_version:
        return f"{what} {deployment.from_version} -> {deployment.to_version}"
    if deployment.to_version:
        return f"{what} {deployment.to_version}"
    return f"{what} ({deployment.deployment_id})"
