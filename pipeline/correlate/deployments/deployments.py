"""Stored deployments, and lookups of those that affect a subject, revert a deployment, or declare a first use.

Deployments are stored as possible suspects, in order of event time, up to a limit.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from typing import Any

import orjson

from pipeline.correlate.bounded_store import BoundedStore
from schemas.deployment import Deployment
from schemas.drift import Drift

LABEL_LENGTH_MAX = 200
"""Maximum number of characters in a label of a record. Longer labels are truncated."""

DECLARED_WITHIN_MS = 600_000
"""Maximum time (ms) from a deployment to a first use of its kind that it explains, even if it names no version."""

_KINDS_BY_LABEL = {"provider_model": ("model", "provider_status"), "schema_id": ("data",)}
"""Kinds of deployment that change a label. Version labels are not listed: deployments of the version's kind change
them."""

Component = tuple[str, str | None, str | None]
"""Versioned component: its kind, its name among components of that kind, and the owning subject."""


@dataclass(frozen=True, slots=True)
class ServedTraffic:
    """The traffic of an incident: its subject, and the environment and provider that served it."""

    subject: str
    environment: str | None
    provider: str | None

    def is_affected_by(self, deployment: Deployment) -> bool:
        """Return whether a deployment affects this traffic.

        A deployment with a subject affects only that subject. A deployment with an environment, a provider or both
        affects all traffic of that environment and provider. A deployment without any of them affects all traffic.
        """
        if deployment.subject is not None:
            return deployment.subject == self.subject
        return deployment.environment in (None, self.environment) and deployment.provider in (None, self.provider)


class DeploymentHistory:
    """Store of the deployments that arrived last, at most ``limit``, in order of event time.

    A prompt registry reports a version again when its tags or other labels change. A deployment of a prompt to the
    version that is live already, without a version before, therefore affects nothing.
    """

    def __init__(self, limit: int) -> None:
        self._deployments = BoundedStore[Deployment](limit)
        self._times: list[tuple[int, str]] = []
        # The deployments of each subject, and those of no subject, in order of time.
        self._subject_times: dict[str | None, list[tuple[int, str]]] = {}
        # The deployments of each prompt in each scope, in order of time.
        self._prompts: dict[tuple[Any, ...], list[tuple[int, str]]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._deployments)

    @staticmethod
    def key(deployment: Deployment) -> str:
        """Return the key of a deployment: its id and scope. A release of several subjects often has a single id.

        >>> DeploymentHistory.key(Deployment(deployment_id="d-1", timestamp=1795489900000, kind="code", subject="chat"))
        '["d-1","chat",null,null]'
        """
        return orjson.dumps([deployment.deployment_id, *deployment.scope]).decode()

    def add(self, deployment: Deployment) -> list[tuple[str, Deployment]] | None:
        """Store a deployment. Return those dropped to make room, by key, or None if it was already stored.

        A deployment with the same id and scope but different content is a correction and replaces the stored deployment.
        """
        key = self.key(deployment)
        stored = self._deployments.get(key)
        if stored == deployment:
            return None
        if stored is not None:
            self._remove_time(stored, key)
        self._add_time(deployment, key)
        dropped = self._deployments.add(key, deployment)
        for dropped_key, old in dropped:
            self._remove_time(old, dropped_key)
        return dropped

    def affecting(self, served: ServedTraffic, first_ms: int, last_ms: int) -> Iterator[Deployment]:
        """Yield the deployments from ``first_ms`` to ``last_ms`` that affect this traffic, in order of time."""
        own, shared = (
            times[bisect_left(times, (first_ms, "")) : bisect_left(times, (last_ms + 1, ""))]
            for times in (self._subject_times.get(subject, []) for subject in (served.subject, None))
        )
        for _, key in merge(own, shared):
            deployment = self._deployments.get(key)
            if deployment is None or not served.is_affected_by(deployment) or self._is_live_already(deployment, key):
                continue
            yield deployment

    def any_between(self, first_ms: int, last_ms: int) -> bool:
        """Return whether any deployment has a time from ``first_ms`` to ``last_ms``."""
        return bisect_left(self._times, (first_ms, "")) < bisect_left(self._times, (last_ms + 1, ""))

    def declares(self, drift: Drift, served: ServedTraffic, until_ms: int) -> bool:
        """Return whether a drift is a first use that a deployment declared no later than ``until_ms``.

        The deployment has the version that was first used, or is of the same kind and within ten minutes of the first
        use.
        """
        if drift.detector != "first_seen":
            return False
        return any(_declares(deployment, drift) for deployment in self.affecting(served, 0, until_ms))

    def dump(self, key: str) -> dict[str, Any] | None:
        """Return the state of one deployment, for JSON, or None if it is not stored."""
        deployment = self._deployments.get(key)
        if deployment is None:
            return None
        arrival = self._deployments.arrival_number(key)
        return {"arrival": arrival, "deployment": deployment.model_dump(exclude_none=True)}

    def load(self, state: dict[str, Any]) -> str:
        """Restore one deployment from the state that :meth:`dump` returned. Return its key."""
        deployment = Deployment.model_validate(state["deployment"])
        key = self.key(deployment)
        self._deployments.restore(int(state["arrival"]), key, deployment)
        self._add_time(deployment, key)
        return key

    def _add_time(self, deployment: Deployment, key: str) -> None:
        insort(self._times, (deployment.timestamp, key))
        insort(self._subject_times.setdefault(deployment.subject, []), (deployment.timestamp, key))
        if deployment.kind == "prompt":
            insort(self._prompts[_prompt_of(deployment)], (deployment.timestamp, key))

    def _remove_time(self, deployment: Deployment, key: str) -> None:
        entry = deployment.timestamp, key
        _remove(self._times, entry)
        own = self._subject_times[deployment.subject]
        _remove(own, entry)
        if not own:
            del self._subject_times[deployment.subject]
        if deployment.kind == "prompt":
            times = self._prompts[_prompt_of(deployment)]
            _remove(times, entry)
            if not times:
                del self._prompts[_prompt_of(deployment)]

    def _is_live_already(self, deployment: Deployment, key: str) -> bool:
        """Return whether a deployment installs the version of a prompt that the deployment before it installed."""
        if deployment.kind != "prompt" or deployment.to_version is None or deployment.from_version is not None:
            return False
        times = self._prompts[_prompt_of(deployment)]
        index = bisect_left(times, (deployment.timestamp, key))
        before = self._deployments.get(times[index - 1][1]) if index else None
        return before is not None and before.to_version == deployment.to_version


class RollbackIndex:
    """Index of rollbacks, which finds the pairs for which :meth:`reverts` is true without comparing all pairs.

    Parameters
    ----------
    deployments
        In order of time.
    """

    def __init__(self, deployments: Iterable[Deployment]) -> None:
        self._by_id: dict[str, list[Deployment]] = defaultdict(list)
        self._by_rollback_of: dict[str, list[Deployment]] = defaultdict(list)
        # By component, from_version and to_version. A to_version of None matches any.
        self._forwards: dict[tuple[Component, str | None, str | None], list[Deployment]] = defaultdict(list)
        # By component, to_version and from_version: a rollback is found by the change that it reverts.
        self._backwards: dict[tuple[Component, str | None, str | None], list[Deployment]] = defaultdict(list)
        for deployment in deployments:
            self._by_id[deployment.deployment_id].append(deployment)
            component = component_of(deployment)
            for version in {deployment.to_version, None}:
                self._forwards[component, deployment.from_version, version].append(deployment)
            if deployment.rollback_of is not None:
                self._by_rollback_of[deployment.rollback_of].append(deployment)
            else:
                self._backwards[component, deployment.to_version, deployment.from_version].append(deployment)

    @staticmethod
    def reverts(later: Deployment, earlier: Deployment) -> bool:
        """Return whether the later deployment reverts the earlier one, by id or by restoring the old version."""
        if later.deployment_id == earlier.deployment_id or later.timestamp < earlier.timestamp:
            return False
        if later.rollback_of is not None:
            # A release of several subjects has a single id, and each subject is rolled back separately.
            is_same_scope = None in (later.subject, earlier.subject) or later.subject == earlier.subject
            return later.rollback_of == earlier.deployment_id and is_same_scope
        return (
            component_of(later) == component_of(earlier)
            and later.to_version is not None
            and later.to_version == earlier.from_version
            and later.from_version in (None, earlier.to_version)
        )

    def find_reverted(self, later: Deployment) -> Deployment | None:
        """Return the first deployment that a later deployment reverts, or None."""
        if later.rollback_of is not None:
            candidates = self._by_id.get(later.rollback_of, [])
        else:
            # The first candidate matches unless it is the deployment itself, so two are enough.
            candidates = self._forwards.get((component_of(later), later.to_version, later.from_version), [])[:2]
        return next((earlier for earlier in candidates if self.reverts(later, earlier)), None)

    def is_reverted(self, earlier: Deployment) -> bool:
        """Return whether any deployment reverts an earlier deployment."""
        component, before, after = component_of(earlier), earlier.from_version, earlier.to_version
        candidates = (
            self._by_rollback_of.get(earlier.deployment_id, []),
            # The last deployment of these lists matches unless it is the deployment itself, so two are enough.
            self._backwards.get((component, before, after), [])[-2:],
            self._backwards.get((component, before, None), [])[-2:],
        )
        return any(self.reverts(later, earlier) for deployments in candidates for later in deployments)


def component_of(deployment: Deployment) -> Component:
    """Return the component that a deployment changes: kind, name and owning subject."""
    return (deployment.kind, deployment.name, deployment.subject)


def _prompt_of(deployment: Deployment) -> tuple[Any, ...]:
    return (deployment.name, *deployment.scope)


def version_labels(deployment: Deployment) -> list[str]:
    """Return the labels that records may have for a deployment's version. The list is empty without a version.

    >>> version_labels(
    ...     Deployment(deployment_id="d-1", timestamp=1795489900000, kind="flag", name="rerank", to_version="on")
    ... )
    ['flag:rerank=on', 'rerank=on', 'flag=on']
    """
    if deployment.to_version is None:
        return []
    kind, name = deployment.kind, deployment.name
    labels = [kind] if name is None else [f"{kind}:{name}", name, kind]
    return [f"{label}={deployment.to_version}"[:LABEL_LENGTH_MAX] for label in labels]


def describe_change(deployment: Deployment) -> str:
    """Describe the change of a deployment.

    >>> describe_change(Deployment(deployment_id="d-1", timestamp=1795489900000, kind="prompt", from_version="v41",
    ...                            to_version="v42", subject="support-bot"))
    'prompt v41 -> v42'
    """
    component = deployment.kind.replace("_", " ") + (f" {deployment.name}" if deployment.name else "")
    if deployment.from_version and deployment.to_version:
        return f"{component} {deployment.from_version} -> {deployment.to_version}"
    if deployment.to_version:
        return f"{component} {deployment.to_version}"
    return f"{component} ({deployment.deployment_id})"


def _remove(times: list[tuple[int, str]], entry: tuple[int, str]) -> None:
    del times[bisect_left(times, entry)]


def _declares(deployment: Deployment, drift: Drift) -> bool:
    label, _, version = drift.segment.partition("=")
    names = (deployment.name, f"{deployment.kind}:{deployment.name}")
    if deployment.kind not in _KINDS_BY_LABEL.get(label, (label,)) and label not in names:
        return False
    return deployment.to_version == version or abs(deployment.timestamp - drift.started_at) <= DECLARED_WITHIN_MS
