"""The route step turns incident revisions, silences and the passing of time into decisions. It is the last pure step.

Sending is not pure, so the caller sends: ``step`` decides, ``take_pending`` returns the notifications whose attempts
are due, and ``record_delivery`` records each outcome. Notifications that a receiver has not accepted stay pending and
are part of the checkpoint. Delivery is at least once: a notification that was sent but not checkpointed is sent again
with the same idempotency key.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial

from pipeline.due_times import DueTimes
from pipeline.limit_use import measure_limits
from pipeline.route import reasons
from pipeline.route.decision import RouteDecision, decide_notification, is_unknown
from pipeline.route.delivery import Delivery, Dispatch, Resend, ResendClock
from pipeline.route.deployments import Deployments
from pipeline.route.digest import Digests
from pipeline.route.escalation import Escalations
from pipeline.route.labels import add_labels, incident_labels
from pipeline.route.notices import NoticeDispatch
from pipeline.route.notification_log import NotificationLog, NotifiedIncident, read_incident
from pipeline.route.obstacles import Obstacles, is_same_obstacle
from pipeline.route.outbox import Outbox, suppressed_output
from pipeline.route.owed_measurements import measure_owed
from pipeline.route.recipients import RecipientFinder, Recipients
from pipeline.route.route_tree import RouteTree
from pipeline.route.settings import RouteSettings
from pipeline.state import Part, PartKind, PartStore, State
from pipeline.step import InputMessage, Measurement, OutputMessage
from schemas.incident import Incident
from schemas.topics import ALERTS, COMMANDS, DEPLOYMENTS

PART_KINDS = (
    PartKind("incident", owner="incident"),
    PartKind("alert", owner="incident"),
    PartKind("silence", owner="silence"),
    PartKind("receiver", owner="receiver"),
    PartKind("notice", owner="notice"),
    PartKind("digest", owner="digest"),
    PartKind("clock", owner="partition"),
)
"""Kinds of the parts. They do not depend on settings, because past notifications do not depend on them."""


class RouteStep:
    """The route step, which decides the receivers of an incident revision. It implements ``pipeline.step.Step``.

    A revision is ignored unless it is newer than all earlier revisions, so reading an alert twice has no effect. A
    revision is sent to the receivers in the route tree, and to receivers that have received the incident but not yet
    its end.

    Silences, time intervals and repeats follow one clock. In live operation it is the wall clock of the last tick.
    Event times do not move it, because a notification is sent now, even if its incident is old. In a replay, which has
    no ticks, the clock is the newest event time (``updated_at``) of all revisions. With each tick, and in a replay with
    each message, the step decides again where time, a silence or another incident may have changed a decision.
    Therefore nothing that is due is undecided when a replay has read everything.

    Parameters
    ----------
    settings
        Routes, receivers and limits.
    wall_ms
        The wall clock at the start in Unix ms, or None in a replay.
    """

    def __init__(self, settings: RouteSettings, wall_ms: int | None = None) -> None:
        self._wall_ms = wall_ms
        self._newest_event_ms = 0
        self._tree = RouteTree(settings)
        self._receivers = {receiver.name: receiver for receiver in settings.receivers}
        self._store = PartStore(PART_KINDS)
        self._due_times = DueTimes()
        self._log = NotificationLog(settings.incidents_max, settings.stored_alerts_max, self._store)
        self._label_rules = settings.label_rules
        self._outbox = Outbox(settings, self._tree, self._log, self._store, has_clock=wall_ms is not None)
        self._notices = self._outbox.notices
        self._digests = Digests(settings, self._log, self._notices, self._store)
        self._deployments = Deployments(settings, self._notices)
        self._resend_clock = ResendClock(settings.receivers)
        self._due_resends: set[str] = set()
        self._obstacles = Obstacles(settings, self._store)
        self._escalations = Escalations(settings.escalations)
        self._recipients = RecipientFinder(settings, self._tree, self._escalations)

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        """Restore the state that ``changed`` yielded, with a warning for each part that is discarded."""
        self._store.read(parts)
        for part in self._store.parts("clock"):
            self._store.load(part, self._load_clock)
        for part in self._store.parts("incident"):
            self._store.load(part, partial(self._load_incident, part.name))
        for part in self._store.parts("alert"):
            self._store.load(part, partial(self._log.load_alert, part.name))
        for part in self._store.parts("silence"):
            self._store.load(part, self._obstacles.load_silence)
        for part in self._store.parts("receiver"):
            self._store.load(part, partial(self._outbox.load_receiver, part.name))
        for part in self._store.parts("notice"):
            self._store.load(part, partial(self._notices.load, part.name))
        for part in self._store.parts("digest"):
            self._store.load(part, partial(self._digests.load, part.name))
        newest_decision = max(self._log.newest_decision(), self._notices.newest_decision())
        if self._wall_ms is not None and self._wall_ms < newest_decision:
            self._reset_times(self._wall_ms)
        yield from self._store.finish_restore()

    def step(self, messages: Sequence[InputMessage]) -> list[OutputMessage]:
        """Read alerts, commands or deployments, in the order of their offsets.

        Returns
        -------
        list of Output
            Suppressed notifications with their reasons, and dead letters. :meth:`take_pending` returns the
            notifications to send.
        """
        outputs: list[OutputMessage] = []
        for message in messages:
            if message.topic == ALERTS:
                outputs.extend(self._read_alert(message))
            elif message.topic == COMMANDS:
                outputs.extend(self._obstacles.read_command(message))
            elif message.topic == DEPLOYMENTS:
                outputs.extend(self._deployments.read(message, self._now()))
            if self._wall_ms is None:
                outputs.extend(self._decide_due())
        return outputs

    def control(self, message: InputMessage, *, is_covered: bool = False) -> list[OutputMessage]:  # noqa: ARG002 - the protocol's
        """Do nothing, because route has no control topic."""
        return []

    def tick(self, wall_ms: int) -> list[OutputMessage]:
        """Reconsider held-back notifications whose obstacle is gone, and notifications that are due to be repeated.

        Returns
        -------
        list of Output
            As :meth:`step`.
        """
        if self._wall_ms is not None and wall_ms < self._wall_ms:
            self._reset_times(wall_ms)
        self._wall_ms = wall_ms
        outputs = self._decide_notices()
        self._due_resends |= {
            receiver for receiver in self._resend_clock.advance(wall_ms) if self._log.open_alerts(receiver)
        }
        return outputs + self._decide_due()

    def on_gap(self) -> list[OutputMessage]:
        """Do nothing, because a gap does not change the notifications that were sent."""
        return []

    def has_pending(self, busy: Collection[str] = ()) -> bool:
        """Return whether attempts to send or re-sends are due. Receivers in ``busy`` do not count."""
        return self._outbox.has_due(self._now(), busy) or not self._due_resends.issubset(busy)

    def take_pending(self, busy: Collection[str] = ()) -> list[Dispatch | NoticeDispatch]:
        """Return what is to be sent now, oldest decision first, except to receivers in ``busy``.

        Call :meth:`record_delivery` for each notification and notice.
        """
        return self._outbox.take_due(self._now(), busy)

    def take_resends(self, busy: Collection[str] = ()) -> list[Resend]:
        """Return the re-sends that are due, except to receivers in ``busy``. Their outcomes are not recorded.

        Send nothing else to a receiver during a re-send. Otherwise, the re-send could arrive after the end of an incident
        and open it again.
        """
        receivers = sorted(self._due_resends.difference(busy))
        self._due_resends.difference_update(receivers)
        resends = [Resend(receiver, tuple(self._log.open_alerts(receiver))) for receiver in receivers]
        return [resend for resend in resends if resend.alerts]

    def record_delivery(self, dispatch: Dispatch | NoticeDispatch, delivery: Delivery) -> list[OutputMessage]:
        """Record the outcome of an attempt.

        Parameters
        ----------
        dispatch
            From :meth:`take_pending`.
        delivery
            The outcome. After ``retry``, the newest state of the incident stays pending for the receiver. After
            ``failed``, the receiver is treated as not notified, so the next revision is sent to it, and its fallback is
            notified.

        Returns
        -------
        list of Output
            The notification, unless it is still owed, and a dead letter with the alert if it failed.
        """
        outputs = self._outbox.record(dispatch, delivery, self._now())
        if isinstance(dispatch, NoticeDispatch):
            return outputs
        for incident_id in (member.incident.incident_id for member in dispatch.members):
            notified = self._log.get(incident_id)
            if notified is not None and notified.owed:  # an obstacle may have begun during the attempt
                outputs += self._decide_again(incident_id, notified)
        return outputs

    def measure(self) -> Iterator[Measurement]:
        """Yield what is owed to each receiver, and the use of each limit."""
        yield from measure_owed(self._log, self._notices, self._receivers, self._now())
        yield from measure_limits((*self._log.limit_uses(), self._obstacles.limit_use(), self._notices.limit_use()))

    def mark_all(self) -> None:
        """Mark all parts of the state as changed, because the checkpoint topic was created again."""
        self._store.mark_all(*(kind.name for kind in PART_KINDS))

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Return the parts of the state that changed since the last call, by key. A value of None marks a removed part."""
        yield from self._store.changed(self._dump)

    def _dump(self, kind: str, name: str) -> list[tuple[Part, State | None]]:
        dumps: dict[str, Callable[[str], State | None]] = {
            "incident": self._log.dump,
            "alert": self._log.dump_alert,
            "silence": self._obstacles.dump_silence,
            "receiver": self._outbox.dump_receiver,
            "notice": self._notices.dump,
            "digest": self._digests.dump,
            "clock": lambda _: {"newest_event_ms": self._newest_event_ms},
        }
        return [(Part(kind, name), dumps[kind](name))]

    def _load_clock(self, state: State) -> None:
        self._newest_event_ms = int(state["newest_event_ms"])

    def _reset_times(self, wall_ms: int) -> None:
        """Replace all times that are now in the future, because the clock has gone back."""
        self._outbox.reset_times(wall_ms)
        self._log.reset_times(wall_ms)

    def _now(self) -> int:
        return self._newest_event_ms if self._wall_ms is None else self._wall_ms

    def _read_alert(self, message: InputMessage) -> list[OutputMessage]:
        incident = read_incident(message)
        if isinstance(incident, OutputMessage):
            return [incident]
        before = self._log.get(incident.incident_id)
        if before is not None and incident.revision <= before.revision:
            return []
        outputs: list[OutputMessage] = []
        if incident.updated_at > self._newest_event_ms:
            self._newest_event_ms = incident.updated_at
            self._store.mark("clock", "")
            outputs += [] if self._wall_ms is not None else self._decide_notices()
        labels = incident_labels(incident)
        notified = self._log.add_revision(incident, labels, message.offset, self._now())
        self._update_sources(incident.incident_id, notified)
        self._escalations.end(notified.escalations, add_labels(labels, self._label_rules))
        outputs += self._decide(incident, message, notified, self._recipients.find(notified))
        while (excess := self._log.pop_excess()) is not None:
            self._obstacles.remove_source(excess[0])
            outputs += self._outbox.drop(*excess, None, "route.incidents_max")
        return outputs

    def _decide_notices(self) -> list[OutputMessage]:
        """Owe the digests that are due. The clock has just advanced, and nothing else is decided at this time yet."""
        return self._digests.decide(self._now()) + self._notices.check()

    def _decide_due(self) -> list[OutputMessage]:
        """Decide again where time or an obstacle may have changed a decision. The other decisions stay as they are."""
        for incident_id, changed in self._log.take_changed():
            self._due_times.set(incident_id, math.inf if changed is None else self._next_due(changed))
        due = set(self._due_times.take(self._now()))
        is_obstacle_new = self._obstacles.take_change(self._now())
        outputs: list[OutputMessage] = []
        for incident_id, notified in self._log.with_alert(None if is_obstacle_new else due):
            if incident_id in due or (is_obstacle_new and (notified.held_back or notified.owed)):
                outputs += self._decide_again(incident_id, notified)
                self._due_times.set(incident_id, self._next_due(notified))
        return outputs

    def _next_due(self, notified: NotifiedIncident) -> float:
        """Return the time from which the decision on an incident must be made again, if no obstacle changes before."""
        times = [self._escalations.next_due(notified.escalations), self._outbox.next_fallback(notified)]
        if not notified.is_closed:
            times += [
                last_sent.at + self._tree.repeat_interval_s(routes) * 1000
                for receiver, (routes, last_sent) in self._recipients.find(notified).items()
                if last_sent is not None and receiver not in notified.held_back and receiver not in notified.owed
            ]
        return min(times)

    def _decide_again(self, incident_id: str, notified: NotifiedIncident) -> list[OutputMessage]:
        """Decide on one incident, as :meth:`_decide_due`."""
        outputs: list[OutputMessage] = []
        if notified.owed:
            outputs += self._outbox.check(incident_id, notified, self._now())
        recipients = self._due_recipients(incident_id, notified)
        if recipients and notified.alert is not None:
            incident = read_incident(notified.alert)
            if isinstance(incident, Incident):
                outputs.extend(self._decide(incident, notified.alert, notified, recipients, is_due=True))
        return outputs

    def _due_recipients(self, incident_id: str, notified: NotifiedIncident) -> Recipients:
        """Return the recipients for which time may have changed the decision."""
        now = self._now()
        shortest_ms = self._tree.shortest_repeat_interval_s * 1000
        is_repeated = not notified.is_closed and any(
            now - sent.at >= shortest_ms for sent in notified.newest_sent().values()
        )
        is_escalated = self._escalations.become_due(notified.escalations, now)
        if is_escalated:
            self._log.mark(incident_id)
        if not notified.held_back and not notified.owed and not is_repeated and not is_escalated:
            return {}
        due: Recipients = {}
        labels = add_labels(notified.labels, self._label_rules)
        escalated = {receiver for one in self._escalations.due(notified.escalations) for receiver in one.receivers}
        recipients = self._recipients.find(notified)
        for receiver in notified.held_back.keys() - recipients.keys():  # the configuration has changed
            del notified.held_back[receiver]
            self._log.mark(incident_id)
        for receiver, (routes, last_sent) in recipients.items():
            obstacle = notified.held_back.get(receiver)
            if obstacle is not None:
                is_due = not is_same_obstacle(obstacle, self._obstacles.find(incident_id, labels, routes, now)[1])
            elif (owed := notified.owed.get(receiver)) is not None:
                has_ended = self._escalations.have_ended(notified.escalations, routes, last_sent)
                obstacle = self._obstacles.find(incident_id, labels, routes, now)[1]
                is_due = obstacle is not None or (has_ended and not notified.is_closed)
                is_due &= not notified.is_attempted(receiver, owed)
            else:
                is_new = is_escalated and receiver in escalated and is_unknown(last_sent)
                interval_ms = self._tree.repeat_interval_s(routes) * 1000
                is_due = is_new or (is_repeated and last_sent is not None and now - last_sent.at >= interval_ms)
            if is_due:
                due[receiver] = routes, last_sent
        return due

    def _decide(
        self,
        incident: Incident,
        message: InputMessage,
        notified: NotifiedIncident,
        recipients: Recipients,
        *,
        is_due: bool = False,
    ) -> list[OutputMessage]:
        """Decide for each recipient. ``is_due`` means that there was an earlier decision about the revision."""
        outputs = []
        now = self._now()
        labels = add_labels(notified.labels, self._label_rules)
        for receiver, (routes, last_sent) in recipients.items():
            route = routes[0]
            obstacle_before = notified.held_back.pop(receiver, None)
            owed = notified.owed.get(receiver)
            if notified.is_closed and self._outbox.is_waiting_for_group(notified, receiver, now):
                owed = None  # it is over before the message of its group, so it is not sent
            interval_s = self._tree.repeat_interval_s(routes)
            decision = decide_notification(incident, self._receivers[receiver], last_sent, interval_s, now, owed)
            if not notified.is_closed and self._escalations.have_ended(notified.escalations, routes, last_sent):
                decision = RouteDecision(False, reasons.escalation_ended(incident))
            if decision.send:
                route, obstacle = self._obstacles.find(incident.incident_id, labels, routes, now)
                if obstacle is not None:
                    notified.held_back[receiver] = obstacle
                    notified.summary.suppress(obstacle, now)
                    decision = RouteDecision(False, obstacle)
                else:
                    news, before = decision.reason, obstacle_before if is_due else None
                    decision = RouteDecision(True, self._escalations.explain(incident, route, last_sent, news, before))
            outputs += self._outbox.supersede(incident, notified, receiver, now, keeps_schedule=decision.send)
            if decision.send:
                self._outbox.owe(incident, notified, receiver, route, decision.reason, now)
            else:
                if decision.reason == reasons.END_NOT_ACCEPTED:
                    self._outbox.end_unsent(incident, notified, receiver)
                number = notified.number_decision(receiver)
                dispatch = Dispatch(incident, receiver, route, decision.reason, message, now, number)
                outputs.append(suppressed_output(dispatch))
        if notified.is_known:
            self._escalations.begin(notified.escalations, labels, now)
        else:
            notified.escalations.clear()
        self._log.store_alert(incident.incident_id, message)
        while (evicted := self._log.pop_excess_alert()) is not None:
            outputs += self._outbox.drop(*evicted, "route.stored_alerts_max")
        return outputs

    def _update_sources(self, incident_id: str, notified: NotifiedIncident) -> None:
        if notified.is_closed:
            self._obstacles.remove_source(incident_id)
        else:
            self._obstacles.update_source(incident_id, add_labels(notified.labels, self._label_rules))

    def _load_incident(self, incident_id: str, state: State) -> None:
        notified = self._log.load(incident_id, state)
        self._update_sources(incident_id, notified)
        self._outbox.restore(incident_id, notified)
        labels = add_labels(notified.labels, self._label_rules)
        if notified.is_known and self._escalations.begin(notified.escalations, labels, self._now()):
            self._log.mark(incident_id)
