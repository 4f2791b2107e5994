"""The verdict: what was planted against what was found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.incident import Incident, Severity
from schemas.timestamp import format_timestamp

START_ERROR_MAX_S = 60.0
"""Seconds by which an estimated start may miss the true one."""

DETECTION_GAP_MAX_S = 180.0
"""Seconds from the true start to the detection."""

SAME_FAILURE_WITHIN_S = 600.0
"""Seconds between a planted failure and an incident of its mode that can be about it at all."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A failure as it was planted, and what a right incident says of it. ``suspect`` is a deployment's id."""

    failure: str
    mode: str
    at_ms: int
    severity: Severity
    suspect: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One planted failure and the incident about it; ``wrong`` is empty if they agree."""

    planted: Planted
    incident: Incident | None
    wrong: tuple[str, ...]

    @property
    def start_error_s(self) -> float | None:
        """Seconds by which the start was estimated late; negative is early."""
        return None if self.incident is None else (self.incident.started_at - self.planted.at_ms) / 1000

    @property
    def detection_gap_s(self) -> float | None:
        """Seconds from the true start to the detection."""
        return None if self.incident is None else (self.incident.detected_at - self.planted.at_ms) / 1000

    @property
    def suspect(self) -> str | None:
        """The deployment that the incident suspects first."""
        return self.incident.suspects[0].deployment_id if self.incident and self.incident.suspects else None

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
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
    """All findings, and the incidents that nothing was planted for."""

    findings: tuple[Finding, ...]
    unplanned: tuple[Incident, ...]

    @property
    def agrees(self) -> bool:
        """Whether every planted failure was found rightly, and nothing else."""
        return not self.unplanned and not any(finding.wrong for finding in self.findings)


def judge(planted: Sequence[Planted], incidents: Sequence[Incident]) -> Verdict:
    """Hold what was found against what was planted.

    An incident is about a planted failure if it names its mode and began near it; each is about one at most.
    """
    left = list(incidents)
    findings = []
    for each in planted:
        near = [
            incident
            for incident in left
            if incident.failure_mode == each.mode
            and abs(incident.started_at - each.at_ms) <= SAME_FAILURE_WITHIN_S * 1000
        ]
        found = min(near, key=lambda incident: abs(incident.started_at - each.at_ms), default=None)
        if found is not None:
            left.remove(found)
        findings.append(Finding(each, found, tuple(_differences(each, found))))
    return Verdict(tuple(findings), tuple(left))


def _differences(planted: Planted, incident: Incident | None) -> list[str]:
    if incident is None:
        return ["not found"]
    found = Finding(planted, incident, ())
    start_error_s, gap_s = found.start_error_s or 0.0, found.detection_gap_s or 0.0
    wrong = []
    if incident.severity != planted.severity:
        wrong.append(f"severity {incident.severity}, expected {planted.severity}")
    if abs(start_error_s) > START_ERROR_MAX_S:
        wrong.append(f"start {abs(start_error_s):.0f} s {'late' if start_error_s > 0 else 'early'}")
    if not 0 <= gap_s <= DETECTION_GAP_MAX_S:
        wrong.append(f"detected {gap_s:.0f} s after the start")
    if found.suspect != planted.suspect:
        wrong.append(f"suspects {found.suspect or 'nothing'}, expected {planted.suspect}")
    return wrong
