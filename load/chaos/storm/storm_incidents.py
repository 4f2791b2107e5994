"""The incidents of a storm, drawn from a seed: each opens, some become more severe, and some end."""

import random
from dataclasses import dataclass

from schemas.incident import Incident, IncidentStatus, Severity
from topologies.sample_incident import sample_incident

SUBJECTS = 60
SHARE_THAT_RISES = 0.3
SHARE_THAT_ENDS = 0.4
CHANGE_AFTER_S = (1.0, 20.0)
"""Minimum and maximum seconds from one revision of an incident to the next."""


@dataclass(frozen=True, slots=True)
class PlannedRevision:
    """A revision of an incident, and the seconds from the start of the storm at which it is published."""

    at_s: float
    incident_id: str
    revision: int
    severity: Severity
    status: IncidentStatus

    def build(self, now_ms: int) -> Incident:
        """Return the revision as a message of correlate, at a time (Unix ms)."""
        subject = f"service-{int(self.incident_id.rpartition('-')[2]) % SUBJECTS:02d}"
        return sample_incident(
            f"{subject} refuses requests. This is a simulated incident.",
            now_ms,
            incident_id=self.incident_id,
            revision=self.revision,
            status=self.status,
            severity=self.severity,
            failure_mode="refusal_spike",
            subject=subject,
        )


def plan_storm(seed: int, incidents: int, duration_s: float) -> list[PlannedRevision]:
    """Return the revisions of a storm in order of time.

    >>> plan = plan_storm(1, 500, 60.0)
    >>> len({revision.incident_id for revision in plan}), len(plan), round(plan[-1].at_s)
    (500, 859, 92)
    >>> plan == plan_storm(1, 500, 60.0)
    True
    """
    generator = random.Random(f"storm:{seed}")
    plan: list[PlannedRevision] = []
    for number in range(incidents):
        at_s, revision = generator.uniform(0, duration_s), 1
        severity: Severity = generator.choice(("P1", "P2", "P3"))
        name = f"inc-storm-{number}"
        plan.append(PlannedRevision(at_s, name, revision, severity, "open"))
        if generator.random() < SHARE_THAT_RISES:
            at_s, revision, severity = at_s + generator.uniform(*CHANGE_AFTER_S), revision + 1, "P1"
            plan.append(PlannedRevision(at_s, name, revision, severity, "open"))
        if generator.random() < SHARE_THAT_ENDS:
            at_s, revision = at_s + generator.uniform(*CHANGE_AFTER_S), revision + 1
            plan.append(PlannedRevision(at_s, name, revision, severity, "resolved"))
    return sorted(plan, key=lambda planned: planned.at_s)
