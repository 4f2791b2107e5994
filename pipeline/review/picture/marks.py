"""Marks: the moments of an incident that a picture shows as upright lines, each with its label."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.correlate.deployments import describe_change
from pipeline.review.markdown import plain
from pipeline.review.material import Material
from schemas.deployment import Deployment
from schemas.timestamp import clock_time

Kind = Literal["start", "detected", "deployment", "rollback", "back", "resolved"]

LABEL_LENGTH_MAX = 44
"""Characters of a label; the rest of a longer one is cut."""

DEPLOYMENTS_MAX = 6
"""Deployments that a picture marks: rollbacks and suspects first, then the nearest to the start."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One moment, Unix ms."""

    at: int
    kind: Kind
    label: str


def marks(material: Material) -> list[Mark]:
    """The moments of an incident, in order of time."""
    incident, back = material.incident, material.recovered_at
    found = [
        _mark(incident.started_at, "start", "began"),
        _mark(incident.detected_at, "detected", "detected"),
        *(_deployment(each, material) for each in _shown(material)),
    ]
    if back is not None:
        found.append(_mark(back, "back", "signals back"))
    if incident.resolved_at is not None:
        found.append(_mark(incident.resolved_at, "resolved", "resolved"))
    return sorted(found, key=lambda mark: (mark.at, mark.kind, mark.label))


def _shown(material: Material) -> Sequence[Deployment]:
    started_at = material.incident.started_at
    suspected = {suspect.deployment_id for suspect in material.incident.suspects}
    back = {each.deployment_id for each in material.rollbacks}

    def order(each: Deployment) -> tuple[bool, bool, int, str]:
        away = abs(each.timestamp - started_at)
        return each.deployment_id not in back, each.deployment_id not in suspected, away, each.deployment_id

    return sorted(material.deployments, key=order)[:DEPLOYMENTS_MAX]


def _deployment(deployment: Deployment, material: Material) -> Mark:
    back = deployment in material.rollbacks
    kind: Kind = "rollback" if back else "deployment"
    return _mark(deployment.timestamp, kind, f"{'rollback: ' if back else ''}{describe_change(deployment)}")


def _mark(at: int, kind: Kind, what: str) -> Mark:
    text = plain(what)
    cut = text if len(text) <= LABEL_LENGTH_MAX else text[: LABEL_LENGTH_MAX - 1] + "…"
    return Mark(at, kind, f"{cut}, {clock_time(at)[:8]}")
