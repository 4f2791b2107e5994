"""The outbox: what receivers are owed, the attempts to send it, and their outcomes.

At most one notification per incident and receiver is owed, always for the newest revision. A newer decision replaces it,
so a receiver that was unavailable gets the newest state instead of every revision.
"""

from collections.abc import Collection, Mapping
from typing import Any

from pipeline.dead_letters import dead_letter
from pipeline.decoding import Unreadable, decode_contract
from pipeline.route import reasons
from pipeline.route.decision import LastSent, decide_notification
from pipeline.route.delivery import Delivery, DeliverySchedule, Dispatch, Owed, build_notification
from pipeline.route.notification_log import NotificationLog, NotifiedIncident
from pipeline.route.reasons import Reason
from pipeline.route.settings import ReceiverSettings, RouteSettings
from pipeline.state import PartStore
from pipeline.step import InputMessage, OutputMessage, RawMessage
from schemas.incident import Incident
from schemas.notification import Notification
from schemas.topics import MEBIBYTE, NOTIFICATIONS


class Outbox:
    """What is owed to all receivers.

    Parameters
    ----------
    settings
        Receivers and limits.
    log
        Store of the incidents.
    store
        Store in which receivers with changed attempts are marked.
    """

    def __init__(self, settings: RouteSettings, log: NotificationLog, store: PartStore) -> None:
        self._repeat_interval_s = settings.repeat_interval_s
        self._receivers: Mapping[str, ReceiverSettings] = {receiver.name: receiver for receiver in settings.receivers}
        self._log = log
        self._store = store
        self._schedule = DeliverySchedule(self._receivers)

    def restore(self, incident_id: str, notified: NotifiedIncident) -> None:
        """Schedule what an incident of a restored state owes."""
        for receiver, owed in notified.owed.items():
            if receiver in self._receivers:
                self._schedule.add(incident_id, receiver, owed)

    def dump_receiver(self, receiver: str) -> dict[str, Any] | None:
        """Return what the state contains of a receiver, or None."""
        return self._schedule.dump_attempts(receiver)

    def load_receiver(self, receiver: str, state: Mapping[str, Any]) -> None:
        """Restore a receiver from :meth:`dump_receiver`."""
        self._schedule.load_attempts(receiver, state)

    def owe(
        self, incident: Incident, notified: NotifiedIncident, receiver: str, route: str, reason: Reason, now: int
    ) -> None:
        """Owe the newest revision of an incident to a receiver, in place of an older decision."""
        before, number = notified.owed.get(receiver), notified.number_decision(receiver)
        if before is None:
            owed = Owed(incident.revision, number, route, reason, now, since=now)
        else:
            owed = before.replaced_by(incident.revision, number, route, reason, now)
        notified.owed[receiver] = owed
        self._schedule.add(incident.incident_id, receiver, owed)
        self._log.mark(incident.incident_id)

    def supersede(
        self, incident: Incident, notified: NotifiedIncident, receiver: str, now: int, *, keeps_schedule: bool
    ) -> list[OutputMessage]:
        """End an older decision that was not sent yet, because a newer one replaces it. Return its notification.

        An older decision whose attempt is in flight stays owed until its outcome is known. With ``keeps_schedule``, the
        newer decision is owed too, and continues the schedule of the attempts.
        """
        owed = notified.owed.get(receiver)
        if owed is None or (receiver, owed.revision, owed.number) in notified.in_flight:
            return []
        older = _stored_incident(notified)
        if not keeps_schedule:
            self.withdraw(incident.incident_id, notified, receiver)
        if (
            older is None or notified.alert is None or older.revision != owed.revision
        ):  # after a crash during an attempt
            return []
        dispatch = Dispatch(older, receiver, owed.route, owed.reason, notified.alert, now, owed.number)
        return [_suppressed(dispatch, incident.revision)]

    def withdraw(self, incident_id: str, notified: NotifiedIncident, receiver: str) -> None:
        """Owe nothing of an incident to a receiver any more."""
        if notified.owed.pop(receiver, None) is not None:
            self._schedule.remove(incident_id, receiver)
            self._log.mark(incident_id)

    def has_due(self, now: int, busy: Collection[str] = ()) -> bool:
        """Return whether attempts are due at a time (Unix ms)."""
        return bool(self._schedule.find_due(now, busy))

    def take_due(self, now: int, busy: Collection[str] = ()) -> list[Dispatch]:
        """Return the notifications to send at a time (Unix ms), oldest decision first. Their attempts begin."""
        dispatches = []
        for receiver, incident_id, owed in self._schedule.find_due(now, busy):
            notified = self._log.get(incident_id)
            incident = None if notified is None else _stored_incident(notified)
            if notified is None or notified.alert is None or incident is None:
                self._schedule.remove(incident_id, receiver)  # its alert was a damaged part of the state
                continue
            if owed.revision != incident.revision:  # a crash during an attempt to send an older revision
                owed.revision, owed.number = incident.revision, notified.number_decision(receiver)
            notified.in_flight[receiver, owed.revision, owed.number] = LastSent.from_incident(
                incident, owed.route, at=now, number=owed.number
            )
            self._schedule.begin(incident_id, receiver, now)
            if self._schedule.has_limit(receiver):
                self._store.mark("receiver", receiver)
            dispatches.append(
                Dispatch(incident, receiver, owed.route, owed.reason, notified.alert, owed.decided_at, owed.number)
            )
        return dispatches

    def record(self, dispatch: Dispatch, delivery: Delivery, now: int) -> list[OutputMessage]:
        """Record the outcome of an attempt. Return the notification, if it ends here, and a dead letter if it failed."""
        incident, receiver = dispatch.incident, dispatch.receiver
        incident_id, sent = incident.incident_id, delivery.outcome == "sent"
        self._schedule.end(incident_id, receiver, delivery, now)
        self._log.record_outcome(incident_id, receiver, incident.revision, dispatch.number, sent=sent)
        notified = self._log.get(incident_id)
        owed = None if notified is None else notified.owed.get(receiver)
        is_current = owed is not None and (owed.revision, owed.number) == (incident.revision, dispatch.number)
        attempts = (owed.attempts if owed is not None else 0) + delivery.attempts
        if delivery.outcome in ("retry", "deferred"):
            self._log.mark(incident_id)
            if notified is None:
                return self._fail(dispatch, delivery.reason or "the incident was dropped", attempts)
            if is_current and incident.revision == notified.revision:
                return []
            return [_suppressed(dispatch, notified.revision), *self._decide_again(incident_id, notified, receiver, now)]
        if notified is not None and is_current:
            self.withdraw(incident_id, notified, receiver)
        elif owed is not None and sent:
            owed.since, owed.attempts, owed.is_passed_on = now, 0, False
        self._log.mark(incident_id)
        if sent:
            return [_output(build_notification(dispatch, "sent", dispatch.reason), attempts, delivery.sent_at)]
        outputs = self._fail(dispatch, delivery.reason, attempts)
        if notified is not None and not (owed is not None and owed.is_passed_on):
            self._pass_on(notified, receiver, delivery.reason, now)
        return outputs

    def check_limits(self, incident_id: str, notified: NotifiedIncident, now: int) -> list[OutputMessage]:
        """Notify the fallback of a receiver that is unavailable for too long, and give up after the time limit."""
        outputs: list[OutputMessage] = []
        for receiver, owed in list(notified.owed.items()):
            settings = self._receivers.get(receiver)
            waited_s = (now - owed.since) / 1000
            if settings is None:
                outputs += self._give_up(incident_id, notified, receiver, "the receiver was removed from the settings")
            elif owed.attempts and waited_s >= settings.give_up_after_s and not notified.is_in_flight(receiver):
                problem = f"{owed.problem}; given up after {owed.attempts} attempts"
                outputs += self._give_up(incident_id, notified, receiver, problem)
            elif owed.attempts and waited_s >= settings.fallback_after_s and not owed.is_passed_on:
                owed.is_passed_on = True
                self._pass_on(notified, receiver, owed.problem, now)
        return outputs

    def drop(
        self, incident_id: str, notified: NotifiedIncident, alert: RawMessage | None, limit: str
    ) -> list[OutputMessage]:
        """Dead-letter what an incident owes, because a limit is exceeded. ``alert`` is its alert, if it was removed."""
        outputs: list[OutputMessage] = []
        stored, notified.alert = notified.alert, notified.alert or alert
        for receiver in list(notified.owed):
            outputs += self._give_up(incident_id, notified, receiver, f"not kept, because {limit} is exceeded")
        notified.alert = stored
        return outputs

    def _decide_again(
        self, incident_id: str, notified: NotifiedIncident, receiver: str, now: int
    ) -> list[OutputMessage]:
        """Decide on the newest revision, because an attempt to send an older one failed."""
        incident, owed = _stored_incident(notified), notified.owed.get(receiver)
        if owed is None or incident is None or notified.alert is None:
            return []
        if receiver in notified.held_back:
            self.withdraw(incident_id, notified, receiver)
            return []
        last_sent = notified.newest_sent().get(receiver)
        decision = decide_notification(incident, self._receivers[receiver], last_sent, self._repeat_interval_s, now)
        reason = decision.reason
        if decision.send or (reason.code == "closed_before_notified" and self._receivers[receiver].send_resolved):
            if not decision.send:
                reason = reasons.over_while_owed(incident.status, owed.problem)
            if owed.revision == incident.revision:
                owed.reason = reason
            else:
                self.owe(incident, notified, receiver, owed.route, reason, now)
            return []
        self.withdraw(incident_id, notified, receiver)
        if owed.revision != incident.revision:
            return []  # the newest revision was suppressed already
        dispatch = Dispatch(incident, receiver, owed.route, reason, notified.alert, now, owed.number)
        return [_output(build_notification(dispatch, "suppressed", reason))]

    def _pass_on(self, notified: NotifiedIncident, receiver: str, problem: str, now: int) -> None:
        """Owe the incident to the fallback of a receiver, unless the fallback knows it or is owed it already."""
        settings = self._receivers.get(receiver)
        incident = _stored_incident(notified)
        if settings is None or settings.fallback is None or incident is None:
            return
        if settings.fallback in notified.owed or settings.fallback in notified.newest_sent():
            return
        route = notified.owed[receiver].route if receiver in notified.owed else "fallback"
        self.owe(incident, notified, settings.fallback, route, reasons.fallback(receiver, problem), now)

    def _give_up(
        self, incident_id: str, notified: NotifiedIncident, receiver: str, problem: str
    ) -> list[OutputMessage]:
        owed, incident = notified.owed[receiver], _stored_incident(notified)
        self.withdraw(incident_id, notified, receiver)
        if incident is None or notified.alert is None:
            return []
        dispatch = Dispatch(incident, receiver, owed.route, owed.reason, notified.alert, owed.decided_at, owed.number)
        return self._fail(dispatch, problem, owed.attempts)

    def _fail(self, dispatch: Dispatch, problem: str, attempts: int) -> list[OutputMessage]:
        detail = f"notification {dispatch.notification_id} to {dispatch.receiver} was not sent: {problem}"
        return [
            _output(build_notification(dispatch, "failed", reasons.failure(problem)), attempts),
            dead_letter("route", dispatch.source, "receiver_refused", detail, receiver=dispatch.receiver),
        ]


def read_incident(message: InputMessage) -> Incident | OutputMessage:
    """Return the incident of an alert, or a dead letter if it is unreadable."""
    incident = decode_contract(message.value, Incident.model_validate, "incident", bytes_max=MEBIBYTE)
    if isinstance(incident, Unreadable):
        return dead_letter("route", message, incident.reason, incident.detail)
    return incident


def _stored_incident(notified: NotifiedIncident) -> Incident | None:
    incident = None if notified.alert is None else read_incident(notified.alert)
    return incident if isinstance(incident, Incident) else None


def suppressed_output(dispatch: Dispatch) -> OutputMessage:
    """Return the notification of a decision not to send."""
    return _output(build_notification(dispatch, "suppressed", dispatch.reason))


def _suppressed(dispatch: Dispatch, newest_revision: int) -> OutputMessage:
    return _output(build_notification(dispatch, "suppressed", reasons.superseded(newest_revision)))


def _output(notification: Notification, attempts: int = 0, sent_at: int | None = None) -> OutputMessage:
    notification = notification.model_copy(update={"attempts": attempts, "sent_at": sent_at})
    return OutputMessage(NOTIFICATIONS, notification.notification_id.encode(), notification.to_json())
