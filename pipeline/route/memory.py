"""What route remembers of incidents: the newest revision seen, and what each receiver was last sent."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.route.decide import CLOSED, Told
from pipeline.state import PartStore


@dataclass(slots=True)
class Remembered:
    """One incident.

    ``touched`` is the offset of the alert that changed it last: the order in which they are forgotten. ``on_its_way``
    is what is decided and not concluded, by receiver and revision; it is empty at every checkpoint.
    """

    revision: int = 0
    closed: bool = False
    touched: int = -1
    told: dict[str, Told] = field(default_factory=dict)
    on_its_way: dict[tuple[str, int], Told] = field(default_factory=dict)

    def known(self) -> dict[str, Told]:
        """What each receiver knows, or will know when all that is on its way arrives."""
        known = dict(self.told)
        for (receiver, _), told in self.on_its_way.items():
            if receiver not in known or known[receiver].revision < told.revision:
                known[receiver] = told
        return known


class Memory:
    """The incidents that route remembers.

    Parameters
    ----------
    limit
        How many are kept; beyond it the one that has been quiet longest goes, closed ones before open ones. A forgotten
        incident is new to everybody if it is ever revised again.
    store
        Where changed incidents are marked.
    """

    def __init__(self, limit: int, store: PartStore) -> None:
        self._limit = limit
        self._store = store
        self._incidents: dict[str, Remembered] = {}

    def get(self, incident_id: str) -> Remembered | None:
        """What is remembered of an incident; None if nothing."""
        return self._incidents.get(incident_id)

    def see(self, incident_id: str, revision: int, status: str, offset: int) -> Remembered:
        """Note a revision, which has come at this offset of the alerts."""
        remembered = self._incidents.setdefault(incident_id, Remembered())
        remembered.revision = revision
        remembered.closed = status in CLOSED
        remembered.touched = offset
        self._store.mark("incident", incident_id)
        while len(self._incidents) > self._limit:
            quietest = min(
                self._incidents, key=lambda one: (not self._incidents[one].closed, self._incidents[one].touched)
            )
            del self._incidents[quietest]
            self._store.mark("incident", quietest)
        return remembered

    def conclude(self, incident_id: str, receiver: str, revision: int, *, sent: bool) -> None:
        """Note how something on its way ended. It may be forgotten by now, and then it stays so."""
        remembered = self._incidents.get(incident_id)
        told = None if remembered is None else remembered.on_its_way.pop((receiver, revision), None)
        if remembered is None or told is None or not sent:
            return
        last = remembered.told.get(receiver)
        if last is None or last.revision < revision:
            remembered.told[receiver] = told
            self._store.mark("incident", incident_id)

    def dump(self, incident_id: str) -> dict[str, Any] | None:
        """Return the state of one incident; None if it is forgotten."""
        remembered = self._incidents.get(incident_id)
        return None if remembered is None else _dump(remembered)

    def load(self, incident_id: str, state: Mapping[str, Any]) -> None:
        """Restore the state of one incident."""
        told = {receiver: Told(**last) for receiver, last in state["told"].items()}
        self._incidents[incident_id] = Remembered(state["revision"], state["closed"], state["touched"], told)


def _dump(remembered: Remembered) -> dict[str, Any]:
    told = {receiver: asdict(remembered.told[receiver]) for receiver in sorted(remembered.told)}
    return {"revision": remembered.revision, "closed": remembered.closed, "touched": remembered.touched, "told": told}
