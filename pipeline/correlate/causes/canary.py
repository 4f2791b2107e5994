"""The canary: whether the version that a deployment brought serves beside others, and which those are."""

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.correlate.causes.version_split import MINUTES_MIN, shared_minutes
from pipeline.correlate.deployments import version_labels
from schemas.deployment import Deployment
from schemas.drift import Drift

RECENT_MINUTES = 3
"""Minutes at the end of what is known of the new version: another that served in them still does."""

FULL_TRAFFIC = 0.95
"""Share of the traffic from which on a version is the only one that counts: the rest are stragglers."""

CANARY_BELOW = 0.5
"""Share of the traffic below which a new version is called a canary."""


@dataclass(frozen=True, slots=True)
class TrafficSplit:
    """``share`` is the new version's share of the traffic, None if unknown; ``others`` are the versions beside it."""

    share: float | None
    others: frozenset[str]

    @property
    def is_canary(self) -> bool:
        """Whether the new version serves the lesser part, as far as is known."""
        return self.share is None or self.share < CANARY_BELOW


def traffic_split(cause: Deployment, drifts: Collection[Drift]) -> TrafficSplit | None:
    """How the traffic is split between what a deployment brought and other versions; None if nothing says that it is.

    Parameters
    ----------
    cause
        The deployment.
    drifts
        Of the incident: one in the segment of the new version says its share, one with the minutes of several versions
        says which serve at the same time.
    """
    labels = version_labels(cause)
    share = max((drift.traffic_share for drift in drifts if drift.segment in labels), default=None)
    others = {version for drift in drifts for version in _beside(drift, labels)}
    if not others and (share is None or share >= FULL_TRAFFIC):
        return None
    return TrafficSplit(share if share is not None and share < FULL_TRAFFIC else None, frozenset(others))


def _beside(drift: Drift, labels: Collection[str]) -> set[str]:
    own = next((each for each in drift.series if each.version in labels), None)
    if own is None:
        return set()
    found = set()
    for each in drift.series:
        both = shared_minutes(own.records, each.records)
        is_other = each is not own and each.version.partition("=")[0] == own.version.partition("=")[0]
        # Where one takes over from the other at once they share a minute, and served one after the other.
        if is_other and len(both) >= MINUTES_MIN and both[-1] >= len(own.records) - RECENT_MINUTES:
            found.add(each.version.partition("=")[2])
    return found
