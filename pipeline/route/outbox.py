"""The outbox: pending notifications, the attempts to send them, and their outcomes.

At most one notification per incident and receiver is pending, always for the newest revision. A newer decision replaces
it, so a receiver that was unavailable gets the newest state instead of every revision.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

from pipeline.dead_letters import dead_letter
from pipeline.route import reasons
from pipeline.route.decision import LastSent, decide_notification, is_unknown
from pipeline.route.delivery import Delivery, DeliverySchedule, Dispatch, Owed, notification_output
from pipeline.route.group import Group
from pipeline.route.group_members import GroupMembers
from pipeline.route.labels import add_labels
from pipeline.route.notices import NoticeDispatch, Notices
from pipeline.route.notification_log import NotificationLog, NotifiedIncident, read_incident
from pipeline.route.reasons import Reason
from pipeline.route.receiver_settings import ReceiverSettings
from pipeline.route.route_tree import RouteTree
from pipeline.route.settings import RouteSettings
from pipeline.state import PartStore
from pipeline.step import InputMessage, OutputMessage, RawMessage
from schemas.incident import Incident

NOT_KEPT = "not kept, because a limit was exceeded during the attempt"


class Outbox:
    """The pending notifications of all receivers.

    Parameters
    ----------
    settings
        Receivers, labels and limits.
    tree
        Routes, for their repeat intervals.
    log
        Store of the incidents.
    store
        Store that marks receivers whose attempts have changed.
    has_clock
        Whether time passes without messages. If not, as in a replay, no limit per minute applies.
    """

    def __init__(
        self,
        settings: RouteSettings,
        tree: RouteTree,
        log: NotificationLog,
        store: PartStore,
        *,
        has_clock: bool,
    ) -> None:
        self._label_rules = settings.label_rules
        self._links = settings.links
        self._tree = tree
        self._receivers: Mapping[str, ReceiverSettings] = {receiver.name: receiver for receiver in settings.receivers}
        self._log = log
        self._store = store
        self._groups = GroupMembers(self._receivers, tree, log)
        self._schedule = DeliverySchedule(self._receivers, self._groups.due_at, has_clock=has_clock)
        self.notices = Notices(settings, self._schedule, store)
        """Pending messages that are not about one incident."""

    def restore(self, incident_id: str, notified: NotifiedIncident) -> None:
        """Schedule the pending notifications of an incident from a restored state."""
        for receiver, last_sent in notified.last_sent.items():
            self._groups.add_message(incident_id, receiver, last_sent)
        for receiver, owed in notified.owed.items():
            if receiver in self._receivers:
                if not self._receivers[receiver].is_groupable:  # the kind of the receiver has changed
                    owed.group = None
                self._schedule.add(incident_id, receiver, owed)

    def dump_receiver(self, receiver: str) -> dict[str, Any] | None:
        """Return the state of a receiver, or None."""
        return self._schedule.dump(receiver)

    def load_receiver(self, receiver: str, state: Mapping[str, Any]) -> None:
        """Restore a receiver from :meth:`dump_receiver`. A receiver that was removed from the settings leaves the state."""
        if receiver in self._receivers:
            self._schedule.load(receiver, state)
        else:
            self._store.mark("receiver", receiver)

    def owe(
        self, incident: Incident, notified: NotifiedIncident, receiver: str, route: str, reason: Reason, now: int
    ) -> None:
        """Queue the newest revision of an incident for a receiver, in place of an older decision."""
        before, number = notified.owed.get(receiver), notified.number_decision(receiver)
        if before is None:
            owed = Owed(incident.revision, number, route, reason, now, since=now)
        else:
            owed = before.replaced_by(incident.revision, number, route, reason, now)
        if before is None or self.is_waiting_for_group(notified, receiver, now):
            # An attempt may have told the receiver of the incident, so it stays in its group afterwards.
            owed.group = self._groups.find(notified, receiver, route, add_labels(notified.labels, self._label_rules))
        notified.owed[receiver] = owed
        self._schedule.add(incident.incident_id, receiver, owed)
        self._log.mark(incident.incident_id)

    def supersede(
        self, incident: Incident, notified: NotifiedIncident, receiver: str, now: int, *, keeps_schedule: bool
    ) -> list[OutputMessage]:
        """End an older decision that was not sent yet, because a newer one replaces it. Return its notification.

        A decision whose attempt is in flight stays pending until its outcome is known, because the newer decision is
        compared with it. With ``keeps_schedule``, the newer decision is pending instead, and continues the schedule of the
        attempts.
        """
        owed = notified.owed.get(receiver)
        if owed is None or notified.is_attempted(receiver, owed):
            return []
        older, alert = notified.stored_incident(), notified.alert
        if not keeps_schedule:
            self._owe_in_flight(incident.incident_id, notified, receiver)
        # After a crash during an attempt, the alert is newer than what is owed. The newer revision has its own record.
        if older is None or alert is None or older.revision != owed.revision or owed.revision == incident.revision:
            return []
        dispatch = Dispatch(older, receiver, owed.route, owed.reason, alert, now, owed.number)
        return [_suppressed(dispatch, incident.revision)]

    def _owe_in_flight(self, incident_id: str, notified: NotifiedIncident, receiver: str) -> None:
        """Keep the notification in flight to a receiver as pending, or remove it if no attempt is in flight."""
        owed = notified.owed[receiver]
        in_flight = next((sent for (name, *_), sent in notified.in_flight.items() if name == receiver), None)
        if in_flight is None:
            self.withdraw(incident_id, notified, receiver)
            return
        attempted = in_flight.revision, in_flight.number, in_flight.route
        notified.owed[receiver] = owed.replaced_by(*attempted, owed.reason, owed.decided_at)
        self._schedule.add(incident_id, receiver, notified.owed[receiver])

    def end_unsent(self, incident: Incident, notified: NotifiedIncident, receiver: str) -> None:
        """Record that an incident is over for a receiver that is not notified of the end."""
        notified.record_unsent_end(receiver, incident.status)
        if receiver in notified.last_sent:
            self._groups.remove(incident.incident_id, receiver, notified.last_sent[receiver])

    def withdraw(self, incident_id: str, notified: NotifiedIncident, receiver: str) -> None:
        """Remove the pending notification of an incident for a receiver."""
        if notified.owed.pop(receiver, None) is not None:
            self._schedule.remove(incident_id, receiver)
            self._log.mark(incident_id)

    def has_due(self, now: int, busy: Collection[str] = ()) -> bool:
        """Return whether attempts are due at a time (Unix ms)."""
        return bool(self._schedule.find_due(now, busy))

    def take_due(self, now: int, busy: Collection[str] = ()) -> list[Dispatch | NoticeDispatch]:
        """Return the notifications and notices to send at a time (Unix ms), oldest decision first. Their attempts begin."""
        begun = (self._begin(*attempt, now) for attempt in self._schedule.find_due(now, busy))
        return [dispatch for dispatch in begun if dispatch is not None]

    def is_waiting_for_group(self, notified: NotifiedIncident, receiver: str, now: int) -> bool:
        """Return whether what is owed to a receiver waits for the message of its group, and for nothing else."""
        owed = notified.owed.get(receiver)
        return owed is not None and self._schedule.is_waiting_for_group(receiver, owed, now)

    def record(self, dispatch: Dispatch | NoticeDispatch, delivery: Delivery, now: int) -> list[OutputMessage]:
        """Record the outcome of an attempt. Return the notification, if it ends here, and a dead letter if it failed."""
        if isinstance(dispatch, NoticeDispatch):
            return self.notices.record(dispatch, delivery, now)
        self._schedule.end(dispatch, delivery, now)
        self._store.mark("receiver", dispatch.receiver)
        outputs = [output for member in dispatch.members for output in self._record_member(member, delivery, now)]
        if delivery.outcome == "sent" and dispatch.group is not None and dispatch.group_news is not None:
            at = min(dispatch.group_news.at, now)  # the clock may have gone back during the attempt
            for incident_id, notified in self._groups.known(dispatch.receiver, dispatch.group).items():
                if notified.alert is not None and dispatch.receiver not in notified.held_back:
                    self._log.record_group_message(incident_id, dispatch.receiver, at, delivery.reference)
        return outputs

    def _record_member(self, dispatch: Dispatch, delivery: Delivery, now: int) -> list[OutputMessage]:
        incident_id, sent = dispatch.incident.incident_id, delivery.outcome == "sent"
        self._log.record_outcome(dispatch, delivery)
        notified = self._log.get(incident_id)
        if notified is None:  # it was dropped during the attempt
            return self._sent(dispatch, delivery) if sent else self._fail(dispatch, delivery.reason or NOT_KEPT)
        if sent:
            outputs = self._record_sent(notified, dispatch, delivery, now)
            last_sent = notified.last_sent.get(dispatch.receiver)
            if last_sent is not None:  # else it was dropped during the attempt, and is new again
                self._groups.add_message(incident_id, dispatch.receiver, last_sent)
        elif delivery.outcome == "failed":
            outputs = self._record_refusal(notified, dispatch, delivery, now)
        else:
            outputs = self._record_retry(notified, dispatch, delivery, now)
        self._log.mark(incident_id)
        return outputs

    def check(self, incident_id: str, notified: NotifiedIncident, now: int) -> list[OutputMessage]:
        """Notify the fallback of a receiver that is unavailable for too long.

        Give up the pending notifications for a receiver that was removed from the settings.
        """
        outputs: list[OutputMessage] = []
        for receiver, owed in list(notified.owed.items()):
            if receiver not in self._receivers:
                problem = "the receiver was removed from the settings"
                outputs += self._give_up(incident_id, notified, receiver, problem, notified.alert)
            elif self._is_fallback_due(notified, receiver, owed, now):
                problem = owed.problem or self._schedule.find_problem(receiver)
                self._pass_on(notified, receiver, problem, owed.route, now)
        return outputs

    def next_fallback(self, notified: NotifiedIncident) -> float:
        """Return the earliest time at which the fallback of a receiver may have to be notified (Unix ms), or infinity."""
        return min((self._fallback_at(receiver, owed) for receiver, owed in notified.owed.items()), default=math.inf)

    def drop(
        self, incident_id: str, notified: NotifiedIncident, alert: RawMessage | None, limit: str
    ) -> list[OutputMessage]:
        """Dead-letter an incident's pending notifications, because of a limit. ``alert`` is its alert, if removed.

        An attempt in flight ends later, with its own outcome.
        """
        outputs: list[OutputMessage] = []
        if self._log.get(incident_id) is None:
            for receiver, last_sent in notified.last_sent.items():
                self._groups.remove(incident_id, receiver, last_sent)
        for receiver, owed in list(notified.owed.items()):
            if not notified.is_attempted(receiver, owed):
                problem = f"not kept, because {limit} is exceeded"
                outputs += self._give_up(incident_id, notified, receiver, problem, notified.alert or alert)
        return outputs

    def reset_times(self, now: int) -> None:
        """Make all attempts due, because the clock has gone back to a time (Unix ms)."""
        self._schedule.reset_times(now)
        self._groups.reset_times(now)

    def _begin(
        self, receiver: str, keys: tuple[str, ...], group: Group | None, now: int
    ) -> Dispatch | NoticeDispatch | None:
        """Begin an attempt with the notifications that are still pending. Return its message, or None if there are none."""
        notice_id = self.notices.find(keys[0])
        if notice_id is not None:
            return self.notices.begin(notice_id, receiver, now)
        begun = [self._begin_member(incident_id, receiver, now) for incident_id in keys]
        dispatches = [dispatch for dispatch in begun if dispatch is not None]
        if not dispatches:
            return None
        message = dispatches[0] if group is None else self._groups.join(dispatches, receiver, group, now)
        self._schedule.begin(message, now)
        self._store.mark("receiver", receiver)
        return message

    def _begin_member(self, incident_id: str, receiver: str, now: int) -> Dispatch | None:
        """Begin an attempt for one incident, if a notification is still pending."""
        notified = self._log.get(incident_id)
        if notified is None or receiver not in notified.owed:  # it was dropped during an earlier attempt
            self._schedule.remove(incident_id, receiver)
            return None
        incident, owed = notified.stored_incident(), notified.owed[receiver]
        if incident is not None and owed.revision != incident.revision:
            # After a crash during an attempt, the stored alert can be newer than what is owed.
            self._decide_again(incident_id, notified, receiver, now)
        if incident is None or notified.alert is None or receiver not in notified.owed:
            self.withdraw(incident_id, notified, receiver)  # its alert was a damaged part of the state
            return None
        owed = notified.owed[receiver]
        sent = LastSent.from_incident(incident, owed.route, at=now, number=owed.number, group=owed.group)
        notified.in_flight[receiver, owed.revision, owed.number] = sent
        last_sent = notified.last_sent.get(receiver)
        reference = "" if last_sent is None else last_sent.reference
        decision = owed.route, owed.reason, notified.alert, owed.decided_at, owed.number
        labels = add_labels(notified.labels, self._label_rules)
        return Dispatch(
            *(incident, receiver, *decision, reference, labels),
            time_zone=self._receivers[receiver].time_zone,
            group=owed.group,
            links=self._links,
        )

    def _record_sent(
        self, notified: NotifiedIncident, dispatch: Dispatch, delivery: Delivery, now: int
    ) -> list[OutputMessage]:
        owed = notified.owed.get(dispatch.receiver)
        earlier_attempts = 0 if owed is None else owed.attempts
        if owed is not None and _is_of(owed, dispatch):
            self.withdraw(dispatch.incident.incident_id, notified, dispatch.receiver)
        elif owed is not None:
            owed.since, owed.attempts, owed.is_passed_on = now, 0, False
            self._schedule.add(dispatch.incident.incident_id, dispatch.receiver, owed)
        return self._sent(dispatch, delivery, earlier_attempts)

    def _record_refusal(
        self, notified: NotifiedIncident, dispatch: Dispatch, delivery: Delivery, now: int
    ) -> list[OutputMessage]:
        receiver, owed = dispatch.receiver, notified.owed.get(dispatch.receiver)
        self._pass_on(notified, receiver, delivery.reason, dispatch.route, now)
        outputs = self._fail(dispatch, delivery.reason, delivery.attempts + (0 if owed is None else owed.attempts))
        if owed is not None and _is_of(owed, dispatch):
            self.withdraw(dispatch.incident.incident_id, notified, receiver)
            return outputs
        return outputs + self._decide_again(dispatch.incident.incident_id, notified, receiver, now)

    def _record_retry(
        self, notified: NotifiedIncident, dispatch: Dispatch, delivery: Delivery, now: int
    ) -> list[OutputMessage]:
        incident_id, receiver = dispatch.incident.incident_id, dispatch.receiver
        owed = notified.owed.get(receiver)
        if notified.alert is None:  # it was dropped during the attempt
            self.withdraw(incident_id, notified, receiver)
            return self._fail(dispatch, delivery.reason or NOT_KEPT, delivery.attempts)
        if owed is None or not _is_of(owed, dispatch) or owed.revision != notified.revision:
            return [_suppressed(dispatch, notified.revision), *self._decide_again(incident_id, notified, receiver, now)]
        is_late = now - owed.decided_at >= self._receivers[receiver].give_up_after_s * 1000
        if delivery.outcome == "deferred" or not is_late:
            return []
        self._pass_on(notified, receiver, owed.problem, owed.route, now)
        problem = f"{owed.problem}; given up after {owed.attempts} attempts"
        return self._give_up(incident_id, notified, receiver, problem, notified.alert)

    def _is_fallback_due(self, notified: NotifiedIncident, receiver: str, owed: Owed, now: int) -> bool:
        is_late = now >= self._fallback_at(receiver, owed) and not notified.is_in_flight(receiver)
        return is_late and bool(owed.attempts or self._schedule.find_problem(receiver))

    def _fallback_at(self, receiver: str, owed: Owed) -> float:
        settings = self._receivers.get(receiver)
        if settings is None or settings.fallback is None or owed.is_passed_on:
            return math.inf
        return owed.since + settings.fallback_after_s * 1000

    def _decide_again(
        self, incident_id: str, notified: NotifiedIncident, receiver: str, now: int
    ) -> list[OutputMessage]:
        """Decide on the newest revision, because an attempt to send an older one failed."""
        incident, owed = notified.stored_incident(), notified.owed.get(receiver)
        if owed is None or incident is None or notified.alert is None:
            return []
        if receiver in notified.held_back:
            self.withdraw(incident_id, notified, receiver)
            return []
        last_sent = notified.newest_sent().get(receiver)
        receiver_settings, interval_s = self._receivers[receiver], self._tree.repeat_interval_s((owed.route,))
        decision = decide_notification(incident, receiver_settings, last_sent, interval_s, now, owed)
        if decision.send and owed.revision == incident.revision:
            owed.reason = decision.reason
            return []
        if decision.send:
            self.owe(incident, notified, receiver, owed.route, decision.reason, now)
            return []
        dispatch = Dispatch(incident, receiver, owed.route, decision.reason, notified.alert, now, owed.number)
        self.withdraw(incident_id, notified, receiver)
        # If what was owed is older, the newest revision was suppressed already.
        return [suppressed_output(dispatch)] if owed.revision == incident.revision else []

    def _pass_on(self, notified: NotifiedIncident, receiver: str, problem: str, route: str, now: int) -> None:
        """Queue the incident for the fallback of a receiver, unless the fallback already has it, sent or pending."""
        fallback = self._receivers[receiver].fallback
        incident, owed = notified.stored_incident(), notified.owed.get(receiver)
        if fallback is None or incident is None or (owed is not None and owed.is_passed_on):
            return
        if owed is not None:
            owed.is_passed_on = True
        if fallback not in notified.owed and is_unknown(notified.newest_sent().get(fallback)):
            notified.held_back.pop(fallback, None)
            self.owe(incident, notified, fallback, route, reasons.fallback(receiver, problem), now)

    def _give_up(
        self, incident_id: str, notified: NotifiedIncident, receiver: str, problem: str, alert: InputMessage | None
    ) -> list[OutputMessage]:
        owed, incident = notified.owed[receiver], None if alert is None else read_incident(alert)
        self.withdraw(incident_id, notified, receiver)
        if not isinstance(incident, Incident) or alert is None:
            return []
        # After a crash during an attempt, the alert can be newer than what is owed.
        number = owed.number if owed.revision == incident.revision else notified.number_decision(receiver)
        dispatch = Dispatch(incident, receiver, owed.route, owed.reason, alert, owed.decided_at, number)
        return self._fail(dispatch, problem, owed.attempts)

    def _sent(self, dispatch: Dispatch, delivery: Delivery, earlier_attempts: int = 0) -> list[OutputMessage]:
        attempts = earlier_attempts + delivery.attempts
        return [notification_output(dispatch, "sent", dispatch.reason, attempts, delivery.sent_at)]

    def _fail(self, dispatch: Dispatch, problem: str, attempts: int = 1) -> list[OutputMessage]:
        detail = f"notification {dispatch.notification_id} to {dispatch.receiver} was not sent: {problem}"
        return [
            notification_output(dispatch, "failed", reasons.failure(problem), attempts),
            dead_letter("route", dispatch.source, "receiver_refused", detail, receiver=dispatch.receiver),
        ]


def suppressed_output(dispatch: Dispatch) -> OutputMessage:
    """Return the notification of a decision not to send."""
    return notification_output(dispatch, "suppressed", dispatch.reason)


def _is_of(owed: Owed, dispatch: Dispatch) -> bool:
    """Return whether a pending notification belongs to an attempt."""
    return (owed.revision, owed.number) == (dispatch.incident.revision, dispatch.number)


def _suppressed(dispatch: Dispatch, newest_revision: int) -> OutputMessage:
    return notification_output(dispatch, "suppressed", reasons.superseded(newest_revision))
