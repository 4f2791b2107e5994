"""The times at which incidents must be decided again without a further revision.

Most decisions depend on time only at known times: a repeat, an escalation, a fallback. Deciding again on all incidents
whenever the clock moves would take a time that grows with their number.
"""

import math


class DueTimes:
    """The next due time of each incident (Unix ms).

    >>> due = DueTimes()
    >>> due.set("inc-1", 2000), due.set("inc-2", 3000), due.set("inc-1", 1000)
    (None, None, None)
    >>> due.take(999), due.take(2999), due.take(2999)
    ([], ['inc-1'], [])
    """

    def __init__(self) -> None:
        self._times: dict[str, float] = {}
        self._earliest = math.inf
        """No incident is due before this time."""

    def set(self, incident_id: str, at: float) -> None:
        """Set the next due time of an incident. Infinity means that no time is due."""
        if at == math.inf:
            self._times.pop(incident_id, None)
            return
        self._times[incident_id] = at
        self._earliest = min(self._earliest, at)

    def take(self, now: int) -> list[str]:
        """Return the incidents that are due at a time (Unix ms), and remove their due times."""
        if now < self._earliest:
            return []
        due = [incident_id for incident_id, at in self._times.items() if at <= now]
        for incident_id in due:
            del self._times[incident_id]
        self._earliest = min(self._times.values(), default=math.inf)
        return due
