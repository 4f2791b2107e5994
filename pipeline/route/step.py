"""The route step turns incident revisions and silences into decisions. It is the last pure step.

Sending is not pure, so the caller sends: ``step`` decides, ``take_pending`` returns the notifications to send, and
``record_delivery`` records each outcome, all before ``changed`` goes into a checkpoint. Delivery is at least once: a
notification that was sent but not checkpointed is sent again with the same idempotency key.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from pipeline.dead_letters import dead_letter
from pipeline.decoding import Unreadable, decode_contract
from pipeline.route import reasons
from pipeline.route.decision import LastSent, RouteDecision, decide_notification
from pipeline.route.dispatch import Delivery, Dispatch, build_notification
from pipeline.route.inhibition import Inhibition
from pipeline.route.labels import LabelRule, add_labels, incident_labels
from pipeline.route.matchers import Labels, parse_matchers
from pipeline.route.notification_log import NotificationLog, NotifiedIncident
from pipeline.route.reasons import Reason
from pipeline.route.route_tree import RouteTree
from pipeline.route.settings import RouteSettings
from pipeline.route.silences import Silences
from pipeline.route.time_intervals import TimeInterval, find_interval
from pipeline.state import Part, PartKind, PartStore, State
from pipeline.step import InputMessage, OutputMessage
from schemas.command import Command
from schemas.incident import CLOSED, Incident
from schemas.notification import Notification
from schemas.topics import ALERTS, COMMANDS, MEBIBYTE, NOTIFICATIONS

PART_KINDS = (PartKind("incident", owner="incident"), PartKind("silence", owner="silence"))
"""Kinds of the parts. They do not depend on settings, because past notifications do not depend on them."""


class RouteStep:
    """The route step, which decides the receivers of an incident revision. It implements ``pipeline.step.Step``.

    A revision is ignored unless it is newer than all earlier revisions, so reading an alert twice has no effect. A
    revision is sent to the receivers in the route tree, and to receivers that have received the incident but not yet
    its end. Times are the event times of revisions (``updated_at``).

    Parameters
    ----------
    settings
        Routes, receivers and limits.
    """

    def __init__(self, settings: RouteSettings) -> None:
        self._settings = settings
        self._tree = RouteTree(settings)
        self._receivers = {receiver.name: receiver for receiver in settings.receivers}
        self._store = PartStore(PART_KINDS)
        self._log = NotificationLog(settings.incidents_max, self._store)
        self._silences = Silences(settings.silences_max, self._store, settings.label_names)
        self._inhibition = Inhibition(settings.inhibit)
        self._routes = {route.name: route for route in settings.all_routes()}
        self._intervals = {
            name: TimeInterval.from_settings(interval) for name, interval in settings.time_intervals.items()
        }
        self._label_rules = [LabelRule(parse_matchers(*rule.matchers), rule.labels) for rule in settings.labels]
        self._pending: list[Dispatch] = []
        self._undelivered = 0

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        """Restore the state that ``changed`` yielded, with a warning for each part that is discarded."""
        self._store.read(parts)
        for part in self._store.parts("incident"):
            self._store.load(part, partial(self._load_incident, part.name))
        for part in self._store.parts("silence"):
            self._store.load(part, self._silences.load)
        yield from self._store.finish_restore()

    def step(self, messages: Sequence[InputMessage]) -> list[OutputMessage]:
        """Read alerts or commands, in the order of their offsets.

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
                outputs.extend(self._read_command(message))
        return outputs

    def control(self, message: InputMessage) -> list[OutputMessage]:  # noqa: ARG002 - the protocol's
        """Do nothing, because route has no control topic."""
        return []

    def tick(self, wall_ms: int) -> list[OutputMessage]:  # noqa: ARG002 - the protocol's
        """Do nothing, because every decision is made when a revision arrives."""
        return []

    def on_gap(self) -> list[OutputMessage]:
        """Do nothing, because a gap does not change the notifications that were sent."""
        return []

    def take_pending(self) -> list[Dispatch]:
        """Return the notifications to send, oldest decision first.

        Call :meth:`record_delivery` for each notification.
        """
        pending, self._pending = self._pending, []
        return pending

    def record_delivery(self, dispatch: Dispatch, delivery: Delivery) -> list[OutputMessage]:
        """Record the outcome of sending.

        Parameters
        ----------
        dispatch
            From :meth:`take_pending`.
        delivery
            The outcome. After a failure, the receiver is treated as not notified, so the next revision is sent to it.

        Returns
        -------
        list of Output
            The notification, and a dead letter with the alert if sending failed.
        """
        self._undelivered -= 1
        sent = delivery.outcome == "sent"
        incident = dispatch.incident
        self._log.record_outcome(incident.incident_id, dispatch.receiver, incident.revision, sent=sent)
        reason = dispatch.reason if sent else reasons.failure(delivery.reason)
        notification = build_notification(incident, dispatch.receiver, dispatch.route, delivery.outcome, reason)
        outcome = {"attempts": delivery.attempts, "sent_at": delivery.sent_at}
        outputs = [_build_output(notification.model_copy(update=outcome))]
        if not sent:
            detail = f"notification {dispatch.notification_id} to {dispatch.receiver} was not sent: {delivery.reason}"
            outputs.append(
                dead_letter("route", dispatch.source, "receiver_refused", detail, receiver=dispatch.receiver)
            )
        return outputs

    def mark_all(self) -> None:
        """Mark all parts of the state as changed, because the checkpoint topic was created again."""
        self._store.mark_all("incident", "silence")

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Return the parts of the state that changed since the last call, by key. A value of None marks a removed part.

        Raises
        ------
        RuntimeError
            If a pending notification has no recorded outcome, because a checkpoint would then lose the notification.
        """
        if self._undelivered:
            raise RuntimeError(
                f"route: {self._undelivered} notifications have no outcome: send the pending notifications first"
            )
        yield from self._store.changed(self._dump)

    def _dump(self, kind: str, name: str) -> list[tuple[Part, State | None]]:
        state = self._log.dump(name) if kind == "incident" else self._silences.dump(name)
        return [(Part(kind, name), state)]

    def _read_alert(self, message: InputMessage) -> list[OutputMessage]:
        incident = _read_incident(message)
        if isinstance(incident, OutputMessage):
            return [incident]
        before = self._log.get(incident.incident_id)
        if before is not None and incident.revision <= before.revision:
            return []
        own_labels = incident_labels(incident)
        labels = add_labels(own_labels, self._label_rules)
        notified = self._log.add_revision(incident, own_labels, message.offset)
        self._update_sources(incident.incident_id, notified)
        for dropped in self._log.trim():
            self._inhibition.remove(dropped)
        outputs = []
        for receiver, (routes, last_sent) in self._recipients(labels, notified).items():
            route = routes[0]
            decision = decide_notification(
                incident, self._receivers[receiver], last_sent, self._settings.repeat_interval_s
            )
            if decision.send:
                route, obstacle = self._find_obstacle(incident, labels, routes)
                if obstacle is not None:
                    decision = RouteDecision(False, obstacle)
            if decision.send:
                self._pending.append(Dispatch(incident, receiver, route, decision.reason, message))
                notified.in_flight[receiver, incident.revision] = LastSent.from_incident(incident, route)
                self._undelivered += 1
            else:
                notification = build_notification(incident, receiver, route, "suppressed", decision.reason)
                outputs.append(_build_output(notification))
        return outputs

    def _find_obstacle(self, incident: Incident, labels: Labels, routes: Sequence[str]) -> tuple[str, Reason | None]:
        """Return the first route that sends now, or the first route and the reason why none does.

        The order of the reasons is Alertmanager's: inhibition, active times, mute times, silences.
        """
        at = incident.updated_at
        source = self._inhibition.find(incident.incident_id, labels)
        if source is not None:
            return routes[0], reasons.open_source(source)
        closed = [self._find_closed_time(route, at) for route in routes]
        if None not in closed:
            return routes[0], closed[0]
        route = routes[closed.index(None)]
        silence = self._silences.find(labels, at)
        if silence is not None:
            return route, reasons.active_silence(silence.author, silence.until, silence.silence_id)
        return route, None

    def _find_closed_time(self, name: str, at: int) -> Reason | None:
        """Return the reason why a route sends nothing at a time (Unix ms), or None."""
        route = self._routes.get(name)
        if route is None:  # the default route, or a route that was removed
            return None
        if route.active_times and find_interval(self._intervals, route.active_times, at) is None:
            return reasons.outside_active_times(route.active_times)
        interval = find_interval(self._intervals, route.mute_times, at)
        return None if interval is None else reasons.mute_time(interval)

    def _update_sources(self, incident_id: str, notified: NotifiedIncident) -> None:
        if notified.is_closed:
            self._inhibition.remove(incident_id)
        else:
            self._inhibition.update(incident_id, add_labels(notified.labels, self._label_rules))

    def _load_incident(self, incident_id: str, state: State) -> None:
        self._update_sources(incident_id, self._log.load(incident_id, state))

    def _recipients(
        self, labels: Labels, notified: NotifiedIncident
    ) -> dict[str, tuple[tuple[str, ...], LastSent | None]]:
        """Return, by receiver, its routes and the newest revision that was sent to it or is in flight."""
        newest_sent = notified.newest_sent()
        routed = self._tree.recipients(labels)
        recipients = {receiver: (routes, newest_sent.get(receiver)) for receiver, routes in routed.items()}
        for receiver, last in sorted(newest_sent.items()):
            if receiver in self._receivers and receiver not in recipients and last.status not in CLOSED:
                recipients[receiver] = ((last.route,), last)
        return recipients

    def _read_command(self, message: InputMessage) -> list[OutputMessage]:
        """Add a silence. Correlate handles other commands and reports invalid commands."""
        command = decode_contract(message.value, Command.model_validate, "command", bytes_max=MEBIBYTE)
        if isinstance(command, Unreadable):
            return []
        if command.action != "silence":
            return []
        try:
            self._silences.add(command)
        except ValueError as error:
            detail = f"the silence {command.command_id} is invalid: {error}"
            return [dead_letter("route", message, "contract", detail)]
        return []


def _read_incident(message: InputMessage) -> Incident | OutputMessage:
    """Return the incident of an alert, or a dead letter."""
    incident = decode_contract(message.value, Incident.model_validate, "incident", bytes_max=MEBIBYTE)
    if isinstance(incident, Unreadable):
        return dead_letter("route", message, incident.reason, incident.detail)
    return incident


def _build_output(notification: Notification) -> OutputMessage:
    return OutputMessage(NOTIFICATIONS, notification.notification_id.encode(), notification.to_json())
