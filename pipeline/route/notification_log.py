"""The notification log: for each incident, the newest revision, and the last revision sent to each receiver."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.route.decision import LastSent
from pipeline.route.matchers import Labels
from pipeline.state import PartStore
from schemas.incident import CLOSED, Incident


@dataclass(slots=True)
class NotifiedIncident:
    """The notifications of one incident.

    ``last_offset`` is the offset of its newest alert. Beyond the limit, incidents are dropped in order of this offset.
    ``labels`` are the labels of its newest revision without those of the configuration, or empty if it is over.
    ``in_flight`` contains decisions to send that have no outcome yet, by receiver and revision. It is empty at every
    checkpoint.
    """

    revision: int = 0
    is_closed: bool = False
    last_offset: int = -1
    last_sent: dict[str, LastSent] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)
    in_flight: dict[tuple[str, int], LastSent] = field(default_factory=dict)

    def newest_sent(self) -> dict[str, LastSent]:
        """Return the newest revision per receiver, sent or in flight."""
        newest = dict(self.last_sent)
        for (receiver, _), sent in self.in_flight.items():
            if receiver not in newest or newest[receiver].revision < sent.revision:
                newest[receiver] = sent
        return newest

    def dump(self) -> dict[str, Any]:
        """Return the state that :meth:`load` reads."""
        last_sent = {receiver: asdict(self.last_sent[receiver]) for receiver in sorted(self.last_sent)}
        return {
            "revision": self.revision,
            "closed": self.is_closed,
            "touched": self.last_offset,
            "told": last_sent,
            "labels": {name: list(values) for name, values in self.labels.items()},
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "NotifiedIncident":
        """Restore an incident from :meth:`dump`."""
        last_sent = {receiver: LastSent(**sent) for receiver, sent in state["told"].items()}
        # States of format 2 and older have no labels.
        labels = {name: tuple(values) for name, values in state.get("labels", {}).items()}
        return cls(state["revision"], state["closed"], state["touched"], last_sent, labels)


class NotificationLog:
    """The store of notifications by incident.

    Parameters
    ----------
    limit
        Maximum number of incidents. Beyond this number, incidents are dropped in order of their newest alert, closed
        incidents first. If a dropped incident is revised again, it is new to every receiver.
    store
        Store in which changed incidents are marked.
    """

    def __init__(self, limit: int, store: PartStore) -> None:
        self._limit = limit
        self._store = store
        self._incidents: dict[str, NotifiedIncident] = {}

    def get(self, incident_id: str) -> NotifiedIncident | None:
        """Return the entry of an incident, or None if there is none."""
        return self._incidents.get(incident_id)

    def add_revision(self, revision: Incident, labels: Labels, offset: int) -> NotifiedIncident:
        """Record a revision with its labels, which was read at an offset of the alerts topic."""
        incident = self._incidents.setdefault(revision.incident_id, NotifiedIncident())
        incident.revision = revision.revision
        incident.is_closed = revision.status in CLOSED
        incident.last_offset = offset
        incident.labels = {} if incident.is_closed else labels
        self._store.mark("incident", revision.incident_id)
        return incident

    def trim(self) -> list[str]:
        """Drop the incidents beyond the limit, and return their ids."""
        dropped = []
        while len(self._incidents) > self._limit:
            quietest = min(
                self._incidents,
                key=lambda name: (not self._incidents[name].is_closed, self._incidents[name].last_offset),
            )
            del self._incidents[quietest]
            self._store.mark("incident", quietest)
            dropped.append(quietest)
        return dropped

    def record_outcome(self, incident_id: str, receiver: str, revision: int, *, sent: bool) -> None:
        """Record whether a revision in flight was sent. An incident that was dropped in the meantime stays dropped."""
        incident = self._incidents.get(incident_id)
        in_flight = None if incident is None else incident.in_flight.pop((receiver, revision), None)
        if incident is None or in_flight is None or not sent:
            return
        last = incident.last_sent.get(receiver)
        if last is None or last.revision < revision:
            incident.last_sent[receiver] = in_flight
            self._store.mark("incident", incident_id)

    def dump(self, incident_id: str) -> dict[str, Any] | None:
        """Return the state of one incident, or None if it was dropped."""
        incident = self._incidents.get(incident_id)
        return None if incident is None else incident.dump()

    def load(self, incident_id: str, state: Mapping[str, Any]) -> NotifiedIncident:
        """Restore one incident from :meth:`dump`."""
        incident = self._incidents[incident_id] = NotifiedIncident.load(state)
        return incident
