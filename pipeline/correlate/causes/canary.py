"""Canaries: whether a newly deployed version serves beside others, and which those are."""

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.correlate.causes.version_split import serve_together, shared_minutes
from pipeline.correlate.deployments import version_labels
from schemas.deployment import Deployment
from schemas.drift import Drift

RECENT_MINUTES = 3
"""Minutes at the end of the new version's series. Another version that served in them still serves."""

FULL_TRAFFIC = 0.95
"""Share of the traffic from which a version counts as the only one. The rest are stragglers."""

CANARY_BELOW = 0.5
"""Share of the traffic below which a new version is called a canary."""


@dataclass(frozen=True, slots=True)
class TrafficSplit:
    """Traffic shared between versions: the new version's ``share``, None if unknown, and the ``others``."""

    share: float | None
    others: frozenset[str]

    @property
    def is_canary(self) -> bool:
        """Whether the new version serves less than half of the traffic, or an unknown share."""
        return self.share is None or self.share < CANARY_BELOW


def find_traffic_split(cause: Deployment, drifts: Collection[Drift]) -> TrafficSplit | None:
    """Return the split of the traffic between a deployed version and others; None if nothing shows one.

    Parameters
    ----------
    cause
        The deployment.
    drifts
        The drifts of the incident. One in the segment of the new version has its share. One with the minutes of several
        versions shows which serve at the same time.
    """
    labels = version_labels(cause)
    share = max((drift.traffic_share for drift in drifts if drift.segment in labels), default=None)
    others = {version for drift in drifts for version in _concurrent_versions(drift, labels)}
    if not others and (share is None or share >= FULL_TRAFFIC):
        return None
    return TrafficSplit(share if share is not None and share < FULL_TRAFFIC else None, frozenset(others))


def _concurrent_versions(drift: Drift, labels: Collection[str]) -> set[str]:
    new = next((series for series in drift.series if series.version in labels), None)
    if new is None:
        return set()
    kind = new.version.partition("=")[0]
    versions = set()
    for other in drift.series:
        other_kind, _, version = other.version.partition("=")
        if other is new or other_kind != kind or not serve_together(new.records, other.records):
            continue
        if shared_minutes(new.records, other.records)[-1] >= len(new.records) - RECENT_MINUTES:
            versions.add(version)
    return versions
