"""The notification log: the newest revision of each incident, and its sent and pending notifications by receiver."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pipeline.dead_letters import dead_letter
from pipeline.decoding import Unreadable, decode_contract
from pipeline.due_times import LowestRank
from pipeline.limit_use import LimitUse
from pipeline.route.decision import LastSent
from pipeline.route.delivery import Delivery, Dispatch, Owed
from pipeline.route.escalation import Escalation
from pipeline.route.incident_summary import IncidentSummary
from pipeline.route.matchers import Labels
from pipeline.route.reasons import Reason
from pipeline.state import PartStore
from pipeline.step import InputMessage, OutputMessage, RawMessage
from schemas.incident import CLOSED, Incident, IncidentStatus
from schemas.topics import ALERTS, MEBIBYTE


@dataclass(slots=True)
class NotifiedIncident:
    """The notifications of one incident.

    Attributes
    ----------
    last_offset
        Offset of its newest alert. Beyond the limit, incidents are dropped in order of this offset.
    labels
        Labels of its newest revision, without those of the configuration.
    held_back
        Reason why the newest revision is not sent now, by receiver.
    decisions
        Number of the last decision about the newest revision, by receiver, from 0.
    owed
        Pending notifications of the newest revision, by receiver. It stays here while an attempt is in flight.
    in_flight
        Attempts to send that have no outcome yet, by receiver, revision and number. They are not part of the state:
        after a crash, pending notifications are sent again.
    alert
        The newest alert, if it may have to be sent without a further revision.
    escalations
        Escalations by name, while nobody acknowledges the incident.
    summary
        What a digest tells of the incident.
    """

    revision: int = 0
    is_closed: bool = False
    last_offset: int = -1
    last_sent: dict[str, LastSent] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)
    held_back: dict[str, Reason] = field(default_factory=dict)
    decisions: dict[str, int] = field(default_factory=dict)
    owed: dict[str, Owed] = field(default_factory=dict)
    in_flight: dict[tuple[str, int, int], LastSent] = field(default_factory=dict)
    alert: RawMessage | None = None
    escalations: dict[str, Escalation] = field(default_factory=dict)
    summary: IncidentSummary = field(default_factory=IncidentSummary)

    def stored_incident(self) -> Incident | None:
        """Return the newest revision from its alert, if the alert is stored and readable."""
        incident = None if self.alert is None else read_incident(self.alert)
        return incident if isinstance(incident, Incident) else None

    def newest_sent(self) -> dict[str, LastSent]:
        """Return the newest revision per receiver, sent or in flight."""
        newest = dict(self.last_sent)
        for (receiver, *_), sent in self.in_flight.items():
            if receiver not in newest or newest[receiver].order < sent.order:
                newest[receiver] = sent
        return newest

    def record_unsent_end(self, receiver: str, status: IncidentStatus) -> None:
        """Record that the incident is over for a receiver that is not notified of the end."""
        if receiver in self.last_sent:
            self.last_sent[receiver] = replace(self.last_sent[receiver], status=status)
        for attempt, sent in self.in_flight.items():
            if attempt[0] == receiver:
                self.in_flight[attempt] = replace(sent, status=status)

    @property
    def is_known(self) -> bool:
        """True if the open incident has been sent to a receiver, or is pending for one."""
        return bool(self.owed) or any(sent.status not in CLOSED for sent in self.newest_sent().values())

    @property
    def needs_alert(self) -> bool:
        """True if the newest alert may have to be sent without a further revision."""
        return bool(not self.is_closed or self.held_back or self.owed)

    def is_in_flight(self, receiver: str) -> bool:
        """Return whether an attempt to send to the receiver has no outcome yet."""
        return any(name == receiver for name, *_ in self.in_flight)

    def is_attempted(self, receiver: str, owed: Owed) -> bool:
        """Return whether the attempt in flight to the receiver belongs to a pending notification."""
        return (receiver, owed.revision, owed.number) in self.in_flight

    def number_decision(self, receiver: str) -> int:
        """Count a decision about the newest revision, and return its number."""
        number = self.decisions[receiver] = self.decisions.get(receiver, -1) + 1
        return number

    def newest_decision(self) -> int:
        """Return the newest time of a decision that was sent or is owed (Unix ms), or 0."""
        sent = [sent.at for sent in self.last_sent.values()]
        return max([*sent, *(owed.decided_at for owed in self.owed.values())], default=0)

    def reset_times(self, now: int) -> None:
        """Limit the times of escalations and decisions to a time (Unix ms)."""
        self.last_sent = {key: replace(sent, at=min(sent.at, now)) for key, sent in self.last_sent.items()}
        self.in_flight = {key: replace(sent, at=min(sent.at, now)) for key, sent in self.in_flight.items()}
        for escalation in self.escalations.values():
            escalation.since = min(escalation.since, now)

    def dump(self) -> dict[str, Any]:
        """Return the state that :meth:`load` reads."""
        return {
            "revision": self.revision,
            "closed": self.is_closed,
            "touched": self.last_offset,
            "told": {receiver: asdict(self.last_sent[receiver]) for receiver in sorted(self.last_sent)},
            "labels": {name: list(values) for name, values in self.labels.items()},
            "decisions": {receiver: self.decisions[receiver] for receiver in sorted(self.decisions)},
            "held_back": {receiver: asdict(self.held_back[receiver]) for receiver in sorted(self.held_back)},
            "owed": {receiver: self.owed[receiver].dump() for receiver in sorted(self.owed)},
            "escalations": {name: asdict(self.escalations[name]) for name in sorted(self.escalations)},
            "summary": self.summary.dump(),
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "NotifiedIncident":
        """Restore an incident from :meth:`dump`."""
        last_sent = {receiver: LastSent.load(sent) for receiver, sent in state["told"].items()}
        # States of format 2 and older have neither labels nor decisions nor anything that is held back.
        labels = {name: tuple(values) for name, values in state.get("labels", {}).items()}
        held_back = {receiver: Reason(**reason) for receiver, reason in state.get("held_back", {}).items()}
        # States of format 3 and older have nothing that is owed, no escalations and no summary.
        summary = IncidentSummary.load(state["summary"]) if "summary" in state else IncidentSummary()
        owed = {receiver: Owed.load(notification) for receiver, notification in state.get("owed", {}).items()}
        return cls(
            state["revision"],
            state["closed"],
            state["touched"],
            last_sent,
            labels,
            held_back,
            dict(state.get("decisions", {})),
            owed,
            escalations={name: Escalation(**entry) for name, entry in state.get("escalations", {}).items()},
            summary=summary,
        )


class NotificationLog:
    """The store of notifications by incident.

    Parameters
    ----------
    limit
        Maximum number of incidents. Beyond this number, incidents are dropped in order of their newest alert, closed
        incidents first and those with something owed last. If a dropped incident is revised again, it is new to every
        receiver.
    alerts_limit
        Maximum number of stored alerts. Beyond this number, the oldest are dropped, those with something held back or
        owed last.
    store
        Store in which changed incidents are marked.
    """

    def __init__(self, limit: int, alerts_limit: int, store: PartStore) -> None:
        self._limit = limit
        self._alerts_limit = alerts_limit
        self._store = store
        self._incidents: dict[str, NotifiedIncident] = {}
        self._with_alert: dict[str, NotifiedIncident] = {}
        self._changed: set[str] = set()
        self._limits_hit: Counter[str] = Counter()
        self._quietest = LowestRank(self._incident_rank)
        self._oldest_alert = LowestRank(self._alert_rank)

    def limit_uses(self) -> Iterator[LimitUse]:
        """Yield the use of the limits."""
        for limit, table, maximum in (
            ("incidents_max", self._incidents, self._limit),
            ("stored_alerts_max", self._with_alert, self._alerts_limit),
        ):
            yield LimitUse(limit, len(table), maximum, self._limits_hit[limit])

    def get(self, incident_id: str) -> NotifiedIncident | None:
        """Return the entry of an incident, or None if there is none."""
        return self._incidents.get(incident_id)

    def incidents(self) -> Iterable[tuple[str, NotifiedIncident]]:
        """Return the ids and entries of all incidents."""
        return self._incidents.items()

    def add_revision(self, revision: Incident, labels: Labels, offset: int, now: int) -> NotifiedIncident:
        """Record a revision with its labels, which was read at an offset of the alerts topic, at a time (Unix ms)."""
        incident = self._incidents.setdefault(revision.incident_id, NotifiedIncident())
        incident.revision = revision.revision
        incident.is_closed = revision.status in CLOSED
        incident.last_offset = offset
        incident.labels = labels
        incident.summary.revise(revision, now)
        incident.decisions.clear()
        incident.held_back.clear()
        self._mark(revision.incident_id)
        return incident

    def pop_excess(self) -> tuple[str, NotifiedIncident] | None:
        """Drop one incident beyond the limit, and return its id and its entry with the alert. Return None if there is none."""
        if len(self._incidents) <= self._limit:
            return None
        self._limits_hit["incidents_max"] += 1
        quietest = self._quietest.first() or ""
        if self._with_alert.pop(quietest, None) is not None:
            self._store.mark("alert", quietest)
        self._mark(quietest)
        return quietest, self._incidents.pop(quietest)

    def pop_excess_alert(self) -> tuple[str, NotifiedIncident, RawMessage] | None:
        """Drop one alert beyond the limit, and return it with its incident. Return None if there is none."""
        if len(self._with_alert) <= self._alerts_limit:
            return None
        self._limits_hit["stored_alerts_max"] += 1
        incident_id = self._oldest_alert.first() or ""
        incident = self._with_alert[incident_id]
        alert = incident.alert
        self._remove_alert(incident_id)
        return None if alert is None else (incident_id, incident, alert)

    def store_alert(self, incident_id: str, alert: InputMessage) -> None:
        """Store the newest alert of an incident after a decision, while it may have to be sent again."""
        incident = self._incidents.get(incident_id)
        if incident is None:
            return
        self._mark(incident_id)
        if not incident.needs_alert:
            self._remove_alert(incident_id)
        elif incident.alert is None or incident.alert.offset != alert.offset:
            incident.alert = RawMessage(
                alert.topic, alert.partition, alert.offset, alert.timestamp, alert.key, alert.value
            )
            self._with_alert[incident_id] = incident
            self._store.mark("alert", incident_id)
            self._oldest_alert.mark(incident_id)

    def with_alert(self, incident_ids: Iterable[str] | None = None) -> list[tuple[str, NotifiedIncident]]:
        """Return the ids and entries of incidents with a stored alert, oldest alert first: of some, or of all."""
        names = self._with_alert if incident_ids is None else (one for one in incident_ids if one in self._with_alert)
        return sorted(((one, self._with_alert[one]) for one in names), key=lambda item: item[1].last_offset)

    def open_alerts(self, receiver: str) -> list[tuple[RawMessage, str]]:
        """Return the newest alert of each open incident that was sent to a receiver, and the receiver's reference."""
        return [
            (incident.alert, sent.reference)
            for incident in self._with_alert.values()
            if incident.alert is not None
            and not incident.is_closed
            and (sent := incident.last_sent.get(receiver)) is not None
            and sent.status not in CLOSED
        ]

    def record_outcome(self, dispatch: Dispatch, delivery: Delivery) -> None:
        """Record the outcome of an attempt in flight. An incident that was dropped in the meantime stays dropped."""
        incident_id, receiver = dispatch.incident.incident_id, dispatch.receiver
        incident = self._incidents.get(incident_id)
        attempt = receiver, dispatch.incident.revision, dispatch.number
        in_flight = None if incident is None else incident.in_flight.pop(attempt, None)
        if incident is None or in_flight is None:
            return
        last = incident.last_sent.get(receiver)
        if delivery.outcome == "sent" and (last is None or last.order < in_flight.order):
            incident.last_sent[receiver] = replace(in_flight, reference=delivery.reference or dispatch.reference)
        elif delivery.outcome not in ("sent", "deferred") and last is not None:
            # The next repeat is due one interval after this attempt.
            incident.last_sent[receiver] = replace(last, at=max(last.at, in_flight.at))
        self._mark(incident_id)

    def record_group_message(self, incident_id: str, receiver: str, at: int, reference: str) -> None:
        """Record that a message of a receiver was about the group of an open incident at a time (Unix ms).

        Its next repeat is due one interval later.
        """
        incident = self._incidents.get(incident_id)
        last = None if incident is None else incident.last_sent.get(receiver)
        if incident is not None and last is not None:
            incident.last_sent[receiver] = replace(last, at=max(last.at, at), reference=reference or last.reference)
            self._mark(incident_id)

    def mark(self, incident_id: str) -> None:
        """Mark an incident whose entry has changed, and drop its alert if it is no longer needed."""
        self._mark(incident_id)
        incident = self._incidents.get(incident_id)
        if incident is not None and not incident.needs_alert and not incident.in_flight:
            self._remove_alert(incident_id)

    def take_changed(self) -> list[tuple[str, NotifiedIncident | None]]:
        """Return the ids and entries of the incidents that changed since the last call, and None for a dropped entry."""
        changed, self._changed = self._changed, set()
        return [(incident_id, self._incidents.get(incident_id)) for incident_id in changed]

    def newest_decision(self) -> int:
        """Return the newest time of a decision that was sent or is owed (Unix ms), or 0."""
        return max((incident.newest_decision() for incident in self._incidents.values()), default=0)

    def reset_times(self, now: int) -> None:
        """Limit the times of escalations and decisions to a time (Unix ms) to which the clock has gone back."""
        for incident_id, incident in self._incidents.items():
            is_changed = incident.summary.reset_times(now)
            if incident_id in self._with_alert:
                incident.reset_times(now)
                is_changed = True
            if is_changed:
                self._mark(incident_id)

    def dump(self, incident_id: str) -> dict[str, Any] | None:
        """Return the state of one incident, or None if it was dropped."""
        incident = self._incidents.get(incident_id)
        return None if incident is None else incident.dump()

    def load(self, incident_id: str, state: Mapping[str, Any]) -> NotifiedIncident:
        """Restore one incident from :meth:`dump`."""
        incident = self._incidents[incident_id] = NotifiedIncident.load(state)
        self._note_change(incident_id)
        return incident

    def dump_alert(self, incident_id: str) -> dict[str, Any] | None:
        """Return the stored alert of one incident, or None if there is none."""
        incident = self._with_alert.get(incident_id)
        return None if incident is None else _dump_message(incident.alert)

    def load_alert(self, incident_id: str, state: Mapping[str, Any]) -> None:
        """Restore the alert of one incident from :meth:`dump_alert`. Restore the incident first.

        Raises
        ------
        ValueError
            If the incident was not restored.
        """
        incident = self._incidents.get(incident_id)
        if incident is None:
            raise ValueError("its incident is not in the state")
        value = state["value"].encode()
        incident.alert = RawMessage(
            ALERTS, state["partition"], state["offset"], state["timestamp"], state["key"], value
        )
        self._with_alert[incident_id] = incident
        self._oldest_alert.mark(incident_id)

    def _mark(self, incident_id: str) -> None:
        self._store.mark("incident", incident_id)
        self._note_change(incident_id)

    def _note_change(self, incident_id: str) -> None:
        self._changed.add(incident_id)
        self._quietest.mark(incident_id)
        self._oldest_alert.mark(incident_id)

    def _remove_alert(self, incident_id: str) -> None:
        incident = self._with_alert.pop(incident_id, None)
        if incident is not None:
            incident.alert = None
            self._store.mark("alert", incident_id)
            self._oldest_alert.mark(incident_id)

    def _incident_rank(self, incident_id: str) -> tuple[bool, bool, int] | None:
        """Return the rank of an incident. Beyond the limit, the incident with the lowest rank is dropped."""
        incident = self._incidents.get(incident_id)
        return None if incident is None else (bool(incident.owed), not incident.is_closed, incident.last_offset)

    def _alert_rank(self, incident_id: str) -> tuple[bool, bool, int] | None:
        """Return the rank of a stored alert. Beyond the limit, the alert with the lowest rank is dropped."""
        incident = self._with_alert.get(incident_id)
        return None if incident is None else (bool(incident.owed), bool(incident.held_back), incident.last_offset)


def read_incident(message: InputMessage) -> Incident | OutputMessage:
    """Return the incident of an alert, or a dead letter if it is unreadable."""
    incident = decode_contract(message.value, Incident.model_validate, "incident", bytes_max=MEBIBYTE)
    if isinstance(incident, Unreadable):
        return dead_letter("route", message, incident.reason, incident.detail)
    return incident


def _dump_message(message: RawMessage | None) -> dict[str, Any] | None:
    if message is None:
        return None
    return {
        "partition": message.partition,
        "offset": message.offset,
        "timestamp": message.timestamp,
        "key": message.key,
        "value": (message.value or b"").decode(),
    }
