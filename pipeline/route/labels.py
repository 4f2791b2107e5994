"""Labels of an incident, on which matchers are evaluated: those of the incident, and those of the configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.route.matchers import Labels, Matcher, matches_all
from schemas.incident import Incident

SINGLE_LABELS = ("incident_id", "subject", "severity", "status", "failure_mode", "environment", "provider")
"""Labels with one value. Each is a field of the incident."""

INCIDENT_LABELS = (*SINGLE_LABELS, "layer", "segment")
"""Labels that every incident has. Layer and segment can have several values."""

RUNBOOK_BASE = "runbook_base"
"""Label of the configuration with the address of an incident's runbooks, without the file name."""


def incident_labels(incident: Incident) -> dict[str, tuple[str, ...]]:
    """Return the labels of an incident, with the names in :data:`INCIDENT_LABELS`.

    ``layer`` contains the layers of all evidence. ``segment`` contains all segments of the incident, such as
    ``region=eu``.
    """
    labels: dict[str, tuple[str, ...]] = {label: (getattr(incident, label) or "",) for label in SINGLE_LABELS}
    labels["layer"] = tuple(sorted({evidence.layer for evidence in incident.evidence}))
    labels["segment"] = tuple(sorted(set(incident.segments)))
    return labels


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Labels that incidents get if all matchers hold."""

    matchers: tuple[Matcher, ...]
    labels: Mapping[str, str]


def add_labels(labels: Labels, rules: Sequence[LabelRule]) -> Labels:
    """Return labels with those of the matching rules.

    The rules are applied in order. Each rule sees the labels of earlier rules and overwrites their values.
    """
    complete = dict(labels)
    for rule in rules:
        if matches_all(rule.matchers, complete):
            complete |= {name: (value,) for name, value in rule.labels.items()}
    return complete
