"""Notifications that regulation may require because of an incident, and when each is due."""

from collections.abc import Iterable

from pipeline.correlate.incidents import IncidentState
from pipeline.correlate.playbook import DutyRow, duty_rows, failure_modes
from schemas.incident import Duty
from schemas.timestamp import LATEST_MS


def notifications_due(facts: IncidentState, regimes: Iterable[str]) -> list[Duty]:
    """What may have to be notified because of an incident, by the regimes given; the most urgent first, then by name.

    A row applies by the failure modes that the incident has met at any time, and by its severity now.
    """
    enabled = set(regimes)
    if not enabled:
        return []
    met = {failure_modes.failure_mode_of(drift).name for drift in facts.drifts}
    found = [
        _duty(row, facts.detected_at)
        for row in duty_rows()
        if row.regime in enabled
        and (not row.failure_modes or met.intersection(row.failure_modes))
        and (not row.severities or facts.severity in row.severities)
    ]
    return sorted(found, key=lambda duty: (duty.due_at is None, duty.due_at or 0, duty.name))


def _duty(row: DutyRow, detected_at: int) -> Duty:
    deadline = row.deadline_ms
    return Duty(
        regime=row.regime,
        name=row.name,
        due_at=None if deadline is None else min(detected_at + deadline, LATEST_MS),
        to=row.to,
        text=f"May apply: decide. {row.text}",
        source=f"{row.source} (read {row.read.isoformat()})",
    )
