"""Canaries: new versions that serve part of the traffic while other versions serve the rest."""

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.correlate.causes.version_split import serve_together, shared_minutes
from pipeline.correlate.deployments import version_labels
from schemas.deployment import Deployment
from schemas.drift import Drift

RECENT_MINUTES = 3
"""Number of most recent minutes in the new version's series. A version with records in these minutes is still
serving."""

FULL_TRAFFIC = 0.95
"""Minimum share of the traffic at which a version counts as the only version. Other versions are treated as
stragglers."""

CANARY_BELOW = 0.5
"""A new version with a smaller share of the traffic counts as a canary."""


@dataclass(frozen=True, slots=True)
class TrafficSplit:
    """Traffic split between versions.

    ``share`` is the share of the new version, or None if unknown. ``others`` are the other versions that serve traffic.
    """

    share: float | None
    others: frozenset[str]

    @property
    def is_canary(self) -> bool:
        """Whether the new version serves less than half of the traffic, or an unknown share."""
        return self.share is None or self.share < CANARY_BELOW


def find_traffic_split(cause: Deployment, drifts: Collection[Drift]) -> TrafficSplit | None:
    """Return the traffic split between a deployed version and other versions, or None if no drift shows a split.

    Parameters
    ----------
    cause
        The deployment.
    drifts
        The drifts of the incident. A drift in the segment of the new version contains the traffic share of that
        version. A drift with series for several versions shows which versions serve at the same time.
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
