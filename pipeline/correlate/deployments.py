"""The deployments kept to be suspects: bounded, in order of event time, and whom each one touches."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.deployment import Deployment


@dataclass(frozen=True, slots=True)
class Served:
    """What an incident is about, for a deployment to match."""

    subject: str
    environment: str | None
    provider: str | None


class Deployments:
    """The deployments that arrived last, at most ``limit`` of them.

    The oldest to *arrive* makes room, not the one of the oldest event time: otherwise a few dated far ahead would
    occupy their places for ever.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: dict[str, tuple[int, Deployment]] = {}
        self._times: list[tuple[int, str]] = []
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, deployment: Deployment) -> list[str]:
        """Keep a deployment; the ids whose state changed, which is none if it is known already.

        The same id with other content is a correction and takes the place of the first.
        """
        known = self._kept.get(deployment.deployment_id)
        if known is not None and known[1] == deployment:
            return []
        self.take_up(self._arrivals, deployment)
        changed = [deployment.deployment_id]
        while len(self._kept) > self._limit:
            oldest = min(self._kept, key=lambda each: self._kept[each][0])
            self._remove(oldest)
            changed.append(oldest)
        return changed

    def take_up(self, arrival: int, deployment: Deployment) -> None:
        """Keep a deployment under a number of arrival: what a checkpoint gives back."""
        self._remove(deployment.deployment_id)
        self._kept[deployment.deployment_id] = (arrival, deployment)
        insort(self._times, (deployment.timestamp, deployment.deployment_id))
        self._arrivals = max(self._arrivals, arrival + 1)

    def state(self, deployment_id: str) -> tuple[int, Deployment] | None:
        """A deployment with its number of arrival; None if it is not kept."""
        return self._kept.get(deployment_id)

    def of(self, served: Served, first_ms: int, last_ms: int) -> Iterator[Deployment]:
        """The deployments that touch it with event times from first to last, both included, in order of time."""
        for place in range(bisect_left(self._times, (first_ms, "")), bisect_left(self._times, (last_ms + 1, ""))):
            deployment = self._kept[self._times[place][1]][1]
            if touches(deployment, served):
                yield deployment

    def _remove(self, deployment_id: str) -> None:
        kept = self._kept.pop(deployment_id, None)
        if kept is not None:
            self._times.remove((kept[1].timestamp, deployment_id))


def names_what_it_touches(deployment: Deployment) -> bool:
    """Whether it names a subject, an environment or a provider; one that names none can never be matched."""
    return any(scope is not None for scope in (deployment.subject, deployment.environment, deployment.provider))


def touches(deployment: Deployment, served: Served) -> bool:
    """Whether a deployment changes what serves a subject.

    A deployment that names a subject touches that one alone; one that names an environment, a provider, or both,
    touches all that are served in and by them.
    """
    if deployment.subject is not None:
        return deployment.subject == served.subject
    return (
        names_what_it_touches(deployment)
        and deployment.environment in (None, served.environment)
        and deployment.provider in (None, served.provider)
    )


def takes_back(later: Deployment, earlier: Deployment) -> bool:
    """Whether the later deployment is the rollback of the earlier one: it says so, or it brings the old version back."""
    if later.deployment_id == earlier.deployment_id or later.timestamp < earlier.timestamp:
        return False
    if later.rollback_of is not None:
        return later.rollback_of == earlier.deployment_id
    return (
        later.kind == earlier.kind
        and later.name == earlier.name
        and later.to_version is not None
        and later.to_version == earlier.from_version
        and later.from_version in (None, earlier.to_version)
    )


def change(deployment: Deployment) -> str:
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
