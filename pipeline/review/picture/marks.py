"""Marks: events of an incident that the chart shows as vertical lines with labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.correlate.deployments import describe_change
from pipeline.plain_text import plain_text
from pipeline.review.material import Material
from schemas.deployment import Deployment
from schemas.timestamp import clock_time

MarkKind = Literal["start", "detected", "deployment", "rollback", "recovered", "resolved"]

LABEL_LENGTH_MAX = 44
"""Maximum number of characters in a label, without its time. Longer labels are truncated."""

DEPLOYMENTS_MAX = 6
"""Maximum number of marked deployments: rollbacks and suspects first, then the deployments closest to the start."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Event of an incident, with its time in Unix ms."""

    at: int
    kind: MarkKind
    label: str


def find_marks(material: Material) -> list[Mark]:
    """Return the marks of an incident, in order of time."""
    incident, recovered_at = material.incident, material.recovered_at
    marks = [
        _build_mark(incident.started_at, "start", "started"),
        _build_mark(incident.detected_at, "detected", "detected"),
        *(_mark_deployment(deployment, material) for deployment in _select_deployments(material)),
    ]
    if recovered_at is not None:
        marks.append(_build_mark(recovered_at, "recovered", "recovered"))
    if incident.resolved_at is not None:
        marks.append(_build_mark(incident.resolved_at, "resolved", "resolved"))
    return sorted(marks, key=lambda mark: (mark.at, mark.kind, mark.label))


def _select_deployments(material: Material) -> Sequence[Deployment]:
    started_at = material.incident.started_at
    suspects = {suspect.deployment_id for suspect in material.incident.suspects}
    rollbacks = {rollback.deployment_id for rollback in material.rollbacks}

    def order(deployment: Deployment) -> tuple[bool, bool, int, str]:
        name = deployment.deployment_id
        return name not in rollbacks, name not in suspects, abs(deployment.timestamp - started_at), name

    return sorted(material.deployments, key=order)[:DEPLOYMENTS_MAX]


def _mark_deployment(deployment: Deployment, material: Material) -> Mark:
    if deployment in material.rollbacks:
        return _build_mark(deployment.timestamp, "rollback", f"rollback: {describe_change(deployment)}")
    return _build_mark(deployment.timestamp, "deployment", describe_change(deployment))


def _build_mark(at: int, kind: MarkKind, label: str) -> Mark:
    text = plain_text(label)
    shortened = text if len(text) <= LABEL_LENGTH_MAX else text[: LABEL_LENGTH_MAX - 1] + "…"
    return Mark(at, kind, f"{shortened}, {clock_time(at)[:8]}")
