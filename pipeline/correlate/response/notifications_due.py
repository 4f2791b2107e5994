"""Notifications that regulation may require because of an incident, with their deadlines."""

from collections.abc import Iterable

from pipeline.correlate.incidents import IncidentState
from pipeline.correlate.playbook import DutyRow, failure_modes
from schemas.incident import Duty
from schemas.timestamp import LATEST_MS


def notifications_due(incident: IncidentState, regimes: Iterable[str]) -> list[Duty]:
    """Return the notification duties that regimes may impose for an incident, most urgent first, then by name.

    Whether a row applies depends on all failure modes that the incident has had and on its current severity.
    """
    enabled = set(regimes)
    if not enabled:
        return []
    modes = {failure_modes.failure_mode_of(drift).name for drift in incident.drifts}
    duties = [
        _duty(row, incident.detected_at)
        for row in DutyRow.table()
        if row.regime in enabled
        and (not row.failure_modes or modes.intersection(row.failure_modes))
        and (not row.severities or incident.severity in row.severities)
    ]
    return sorted(duties, key=lambda duty: (duty.due_at is None, duty.due_at or 0, duty.name))


def _duty(row: DutyRow, detected_at: int) -> Duty:
    deadline = row.deadline_ms
    return Duty(
        regime=row.regime,
        name=row.name,
        due_at=None if deadline is None else min(detected_at + deadline, LATEST_MS),
        to=row.to,
        text=f"May apply: decide whether it does. {row.text}",
        source=f"{row.source} (read {row.read.isoformat()})",
    )
