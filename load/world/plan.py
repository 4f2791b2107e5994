"""The plan: what happens to the simulated service and when. It is the ground truth that findings are held against."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from load.world.failures import failure
from schemas.deployment import Deployment

VERSIONED_KINDS = ("model", "prompt", "index")
"""Deployment kinds that change the version which records carry under the kind's name."""


@dataclass(frozen=True, slots=True)
class Change:
    """One failure, from ``at_ms`` to ``until_ms`` (Unix milliseconds; None: to the end).

    ``size`` 1 is the failure as its table has it; 0.5 is half the effect. ``ramp_s`` seconds pass until it is whole.
    """

    failure: str
    at_ms: int
    size: float = 1.0
    ramp_s: float = 0.0
    until_ms: int | None = None

    def __post_init__(self) -> None:
        failure(self.failure)
        if self.size <= 0 or self.ramp_s < 0:
            raise ValueError(f"the change {self.failure}: size must be above 0 and ramp_s not below 0")
        if self.until_ms is not None and self.until_ms <= self.at_ms:
            raise ValueError(f"the change {self.failure} must end after it begins")

    def strength(self, times_ms: NDArray[np.int64]) -> NDArray[np.float64]:
        """How much of it is in force at each time: 0 before and after, ``size`` when whole.

        >>> Change("outage", at_ms=10_000, size=2.0, ramp_s=10.0).strength(np.array([0, 15_000, 60_000])).tolist()
        [0.0, 1.0, 2.0]
        """
        since_ms = (times_ms - self.at_ms).astype(np.float64)
        ramp = np.clip(since_ms / (self.ramp_s * 1000), 0.0, 1.0) if self.ramp_s else np.ones(len(since_ms))
        inside = since_ms >= 0
        if self.until_ms is not None:
            inside &= times_ms < self.until_ms
        return np.where(inside, ramp * self.size, 0.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that happens: failures, and deployments with the versions they bring. An empty plan is a healthy service."""

    changes: tuple[Change, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    versions: dict[str, str] = field(
        default_factory=lambda: {"model": "m-2026-10", "prompt": "v41", "index": "idx-9", "flag:rerank": "on"}
    )

    def versions_by_time(self) -> list[tuple[int, dict[str, str]]]:
        """The versions that serve, as ``(from Unix ms, versions)``, in order of time; the first holds from 0."""
        timeline = [(0, dict(self.versions))]
        for deployment in sorted(self.deployments, key=lambda each: each.timestamp):
            name = deployment.kind if deployment.kind in VERSIONED_KINDS else f"{deployment.kind}:{deployment.name}"
            if deployment.to_version is not None and name in timeline[-1][1]:
                timeline.append((deployment.timestamp, timeline[-1][1] | {name: deployment.to_version}))
        return timeline
