"""Verdict of the demo: a comparison of the planted failures with the incidents."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.incident import Incident, Severity
from schemas.timestamp import format_timestamp

START_ERROR_MAX_S = 60.0
"""Maximum seconds between the true start and the estimated start, whether early or late."""

DETECTION_GAP_MAX_S = 180.0
"""Maximum seconds from the true start to the detection."""

MATCH_WITHIN_S = 600.0
"""Maximum seconds between a planted failure and the start of its incident."""


@dataclass(frozen=True, slots=True)
class PlantedFailure:
    """Planted failure and the expected content of its incident. ``suspect`` is the id of a deployment."""

    failure: str
    mode: str
    at_ms: int
    severity: Severity
    suspect: str


@dataclass(frozen=True, slots=True)
class FailureMatch:
    """Planted failure and its incident. ``wrong`` lists the differences between them."""

    planted: PlantedFailure
    incident: Incident | None
    wrong: tuple[str, ...]

    @property
    def start_error_s(self) -> float | None:
        """Seconds from the true start to the estimated start. A negative value means that the estimate is too early."""
        return None if self.incident is None else (self.incident.started_at - self.planted.at_ms) / 1000

    @property
    def detection_gap_s(self) -> float | None:
        """Seconds from the true start to the detection."""
        return None if self.incident is None else (self.incident.detected_at - self.planted.at_ms) / 1000

    @property
    def suspect(self) -> str | None:
        """Id of the deployment that is the first suspect of the incident."""
        return self.incident.suspects[0].deployment_id if self.incident and self.incident.suspects else None

    def to_json(self) -> dict[str, Any]:
        """Return the match for ``--json``."""
        incident = self.incident
        return {
            "failure": self.planted.failure,
            "planted_at": format_timestamp(self.planted.at_ms),
            "severity_expected": self.planted.severity,
            "suspect_expected": self.planted.suspect,
            "incident_id": incident.incident_id if incident else None,
            "severity_found": incident.severity if incident else None,
            "start_estimated": format_timestamp(incident.started_at) if incident else None,
            "start_error_s": self.start_error_s,
            "detection_gap_s": self.detection_gap_s,
            "suspect_found": self.suspect,
            "status": incident.status if incident else None,
            "wrong": list(self.wrong),
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """Matches of all planted failures, and the incidents that match no planted failure."""

    matches: tuple[FailureMatch, ...]
    unplanned: tuple[Incident, ...]

    @property
    def agrees(self) -> bool:
        """True if every planted failure was found without differences, and no other incident was found."""
        return not self.unplanned and not any(match.wrong for match in self.matches)


def compare(planted: Sequence[PlantedFailure], incidents: Sequence[Incident]) -> Verdict:
    """Compare planted failures with incidents.

    An incident matches a planted failure if it has the same failure mode and began at about the same time. It matches
    at most one planted failure.
    """
    remaining = list(incidents)
    matches = []
    for failure in planted:
        candidates = [
            incident
            for incident in remaining
            if incident.failure_mode == failure.mode
            and abs(incident.started_at - failure.at_ms) <= MATCH_WITHIN_S * 1000
        ]
        nearest = min(candidates, key=lambda incident: abs(incident.started_at - failure.at_ms), default=None)
        if nearest is not None:
            remaining.remove(nearest)
        matches.append(FailureMatch(failure, nearest, tuple(_differences(failure, nearest))))
    return Verdict(tuple(matches), tuple(remaining))


def _differences(planted: PlantedFailure, incident: Incident | None) -> list[str]:
    if incident is None:
        return ["not found"]
    match = FailureMatch(planted, incident, ())
    start_error_s, gap_s = match.start_error_s or 0.0, match.detection_gap_s or 0.0
    differences = []
    if incident.severity != planted.severity:
        differences.append(f"severity {incident.severity}, expected {planted.severity}")
    if abs(start_error_s) > START_ERROR_MAX_S:
        differences.append(f"start {abs(start_error_s):.0f} s {'late' if start_error_s > 0 else 'early'}")
    if not 0 <= gap_s <= DETECTION_GAP_MAX_S:
        differences.append(f"detected {gap_s:.0f} s after the start")
    if match.suspect != planted.suspect:
        differences.append(f"suspects {match.suspect or 'nothing'}, expected {planted.suspect}")
    return differences
