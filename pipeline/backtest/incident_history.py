"""The incidents of a backtest: revisions, notifications and drifts of each incident, in bounded memory."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.review import Material
from schemas.baseline import Baseline
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import CLOSED, Incident, Severity
from schemas.notification import Notification

INCIDENTS_MAX = 1_000
"""Maximum number of incidents that are stored. Further incidents are counted."""

DRIFT_MESSAGES_MAX = 20_000
"""Maximum number of stored drift messages. Further messages are not drawn."""

NOTIFICATIONS_MAX = 20
"""Maximum number of stored notifications of one incident."""

TICKET: Severity = "P4"
"""The severity that becomes a ticket. All higher severities page."""


@dataclass(slots=True)
class BacktestIncident:
    """One incident.

    Attributes
    ----------
    first, shown, last
        The first revision, the last revision before the incident was closed, and the last revision.
    severity
        The highest severity of all revisions.
    notifications
        What route decided, in order. Empty if no routes were given.
    material
        Messages about the incident, for charts. Available at the end of the backtest.
    """

    first: Incident
    shown: Incident
    last: Incident
    severity: Severity
    notifications: list[Notification] = field(default_factory=list)
    material: Material | None = None

    @property
    def is_page(self) -> bool:
        """Whether the incident would have paged."""
        return self.severity < TICKET

    @property
    def is_open(self) -> bool:
        """Whether the incident was still open at the end of the records."""
        return self.last.status not in CLOSED

    def revise(self, incident: Incident) -> None:
        """Add a revision."""
        self.last = incident
        if incident.status not in CLOSED:
            self.shown = incident
        self.severity = min(self.severity, incident.severity)


class IncidentHistory:
    """All incidents of a backtest, with the drift messages about them."""

    def __init__(self) -> None:
        self._incidents: dict[str, BacktestIncident] = {}
        self._drifts: list[bytes] = []
        self.dropped_incidents = self.dropped_drifts = 0

    def add_drift(self, value: bytes) -> None:
        """Store a drift message."""
        if len(self._drifts) < DRIFT_MESSAGES_MAX:
            self._drifts.append(value)
        else:
            self.dropped_drifts += 1

    def add_revision(self, incident: Incident) -> None:
        """Store a revision of an incident."""
        known = self._incidents.get(incident.incident_id)
        if known is not None:
            known.revise(incident)
        elif len(self._incidents) < INCIDENTS_MAX:
            self._incidents[incident.incident_id] = BacktestIncident(incident, incident, incident, incident.severity)
        else:
            self.dropped_incidents += incident.revision == 1

    def add_notification(self, notification: Notification) -> None:
        """Store a decision of route."""
        known = self._incidents.get(notification.incident_id)
        if known is not None and len(known.notifications) < NOTIFICATIONS_MAX:
            known.notifications.append(notification)

    def finish(self, deployments: Iterable[Deployment], baselines: Iterable[Baseline]) -> list[BacktestIncident]:
        """Return the incidents in order of detection, without incidents that were merged into others."""
        incidents = [incident for incident in self._incidents.values() if incident.last.status != "merged"]
        wanted = {line.drift_id for incident in incidents for line in incident.last.evidence}
        by_id: dict[str, list[Drift]] = {}
        for value in self._drifts:
            drift = Drift.from_json(value)
            if drift.drift_id in wanted:
                by_id.setdefault(drift.drift_id, []).append(drift)
        deployments, baselines = list(deployments), list(baselines)
        for incident in incidents:
            drifts = [drift for line in incident.last.evidence for drift in by_id.get(line.drift_id, ())]
            incident.material = Material.select([incident.last], drifts, deployments, baselines)
        return sorted(incidents, key=lambda incident: (incident.last.detected_at, incident.last.incident_id))
