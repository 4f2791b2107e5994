"""What route remembers of incidents: the newest revision seen, and what each receiver was last sent."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.route.decide import CLOSED, Told


@dataclass(slots=True)
class Remembered:
    """One incident. ``touched`` is the offset of the alert that changed it last: the order in which they are forgotten."""

    revision: int = 0
    closed: bool = False
    touched: int = -1
    told: dict[str, Told] = field(default_factory=dict)


class Memory:
    """The incidents that route remembers.

    Parameters
    ----------
    limit
        How many are kept; beyond it the one that has been quiet longest goes, closed ones before open ones. A forgotten
        incident is new to everybody if it is ever revised again.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._incidents: dict[str, Remembered] = {}
        self._changed: set[str] = set()

    def __len__(self) -> int:
        return len(self._incidents)

    def get(self, incident_id: str) -> Remembered | None:
        """What is remembered of an incident; None if nothing."""
        return self._incidents.get(incident_id)

    def see(self, incident_id: str, revision: int, status: str, offset: int) -> Remembered:
        """Note a revision, which has come at this offset of the alerts."""
        remembered = self._incidents.setdefault(incident_id, Remembered())
        remembered.revision = revision
        remembered.closed = status in CLOSED
        remembered.touched = offset
        self._changed.add(incident_id)
        while len(self._incidents) > self._limit:
            quietest = min(
                self._incidents, key=lambda one: (not self._incidents[one].closed, self._incidents[one].touched)
            )
            del self._incidents[quietest]
            self._changed.add(quietest)
        return remembered

    def tell(self, incident_id: str, receiver: str, told: Told) -> None:
        """Note what a receiver has been sent, unless it has been sent something newer."""
        remembered = self._incidents.get(incident_id)
        if remembered is None:
            return
        last = remembered.told.get(receiver)
        if last is None or last.revision < told.revision:
            remembered.told[receiver] = told
            self._changed.add(incident_id)

    def changed(self) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """What changed since the last call, by incident; None for an incident that is forgotten."""
        changed, self._changed = sorted(self._changed), set()
        for incident_id in changed:
            remembered = self._incidents.get(incident_id)
            yield incident_id, None if remembered is None else asdict(remembered)

    def load(self, incident_id: str, state: Mapping[str, Any]) -> None:
        """Take up one incident that ``changed`` gave."""
        told = {receiver: Told(**last) for receiver, last in state["told"].items()}
        self._incidents[incident_id] = Remembered(state["revision"], state["closed"], state["touched"], told)
