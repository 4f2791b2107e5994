"""RouteStep: incident revisions and silences in, decisions out. The last pure step of the path.

Sending is not pure, so it happens between two calls: ``step`` decides, and what is to be sent waits in ``pending``. Who
drives the step sends that and tells ``conclude`` how it went, before it takes ``changed`` into a checkpoint. What was
sent but not checkpointed is sent again with the same idempotency key: sending is at least once.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from pydantic import ValidationError

from pipeline.dead_letters import dead_letter
from pipeline.route.decide import CLOSED, Told, decide
from pipeline.route.dispatch import Delivery, Dispatch, notification
from pipeline.route.matchers import labels_of
from pipeline.route.memory import Memory, Remembered
from pipeline.route.settings import RouteSettings
from pipeline.route.silences import Silence, Silences
from pipeline.route.tree import RouteTree
from pipeline.state import Part, PartStore, State
from pipeline.step import Input, Output
from schemas.command import Command
from schemas.incident import Incident
from schemas.notification import Notification
from schemas.topics import ALERTS, COMMANDS, NOTIFICATIONS

STATE_HOLDS_FOR = "any"
"""Settings hash of the state. What a receiver was sent does not change with the routes."""


class RouteStep:
    """Decides for each incident revision which receivers are sent it. Implements ``pipeline.step.Step``.

    A revision that is not newer than the newest seen of its incident is ignored: alerts that are read twice change
    nothing. Receivers are those of the route tree, and those that were told of the incident before and not yet of its
    end. Time is the event time of the revisions (``updated_at``).

    Parameters
    ----------
    settings
        Routes, receivers and limits.
    """

    def __init__(self, settings: RouteSettings) -> None:
        self._settings = settings
        self._tree = RouteTree(settings)
        self._receivers = {receiver.name: receiver for receiver in settings.receivers}
        self._store = PartStore(("incident", "silence"), STATE_HOLDS_FOR)
        self._memory = Memory(settings.incidents_max, self._store)
        self._silences = Silences(settings.silences_max, self._store)
        self._waiting: list[Dispatch] = []
        self._unconcluded = 0

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        """Restore the state that ``changed`` yielded, with a warning for each part that is discarded."""
        self._store.read(parts)
        for part in self._store.parts("incident"):
            self._store.load(part, partial(self._memory.load, part.name))
        for part in self._store.parts("silence"):
            self._store.load(part, self._silences.load)
        yield from self._store.finish_restore()

    def step(self, messages: Sequence[Input]) -> list[Output]:
        """Take alerts or commands, in the order of their offsets.

        Returns
        -------
        list of Output
            The notifications that are suppressed, with their reasons, and dead letters. What is to be sent is not
            among them: it waits in :meth:`pending`.
        """
        outputs: list[Output] = []
        for message in messages:
            if message.topic == ALERTS:
                outputs.extend(self._alert(message))
            elif message.topic == COMMANDS:
                outputs.extend(self._command(message))
        return outputs

    def control(self, message: Input) -> list[Output]:  # noqa: ARG002 - the protocol's
        """Nothing: no topic is read whole by every route worker."""
        return []

    def tick(self, wall_ms: int) -> list[Output]:  # noqa: ARG002 - the protocol's
        """Nothing: every decision is made when a revision comes."""
        return []

    def on_gap(self) -> None:
        """Nothing: no decision spans two revisions but what receivers were told, and that stays true over a hole."""

    def pending(self) -> list[Dispatch]:
        """What is to be sent now, oldest decision first. Each is given out once and must be concluded."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def conclude(self, dispatch: Dispatch, delivery: Delivery) -> list[Output]:
        """Learn how sending went.

        Parameters
        ----------
        dispatch
            What :meth:`pending` gave.
        delivery
            How it went. After a failure the receiver counts as not told, so the next revision is sent to it.

        Returns
        -------
        list of Output
            The notification, and a dead letter with the alert if it failed.
        """
        self._unconcluded -= 1
        sent = delivery.outcome == "sent"
        incident = dispatch.incident
        self._memory.conclude(incident.incident_id, dispatch.receiver, incident.revision, sent=sent)
        reason = dispatch.reason if sent else delivery.reason
        decided = notification(incident, dispatch.receiver, dispatch.route, delivery.outcome, reason)
        outputs = [_output(decided.model_copy(update={"attempts": delivery.attempts, "sent_at": delivery.sent_at}))]
        if not sent:
            detail = f"receiver {dispatch.receiver} was not sent {dispatch.notification_id}: {delivery.reason}"
            outputs.append(dead_letter("route", dispatch.source, "receiver_refused", detail, about=dispatch.receiver))
        return outputs

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        """The parts of the state that changed since the last call, by key; None for a part that is gone.

        Raises
        ------
        RuntimeError
            If something that was decided is not concluded: a checkpoint now would lose it.
        """
        if self._unconcluded:
            raise RuntimeError(
                f"route: {self._unconcluded} notifications are not concluded: send what is pending first"
            )
        yield from self._store.changed(self._dump)

    def _dump(self, kind: str, name: str) -> list[tuple[Part, State | None]]:
        state = self._memory.dump(name) if kind == "incident" else self._silences.dump(name)
        return [(Part(kind, name), state)]

    def _alert(self, message: Input) -> list[Output]:
        read = _read(message)
        if isinstance(read, Output):
            return [read]
        before = self._memory.get(read.incident_id)
        if before is not None and read.revision <= before.revision:
            return []
        remembered = self._memory.see(read.incident_id, read.revision, read.status, message.offset)
        labels = labels_of(read)
        silence = self._silences.covering(labels, read.updated_at)
        outputs = []
        for receiver, (route, told) in self._recipients(labels, remembered).items():
            decision = decide(read, self._receivers[receiver], told, silence, self._settings.repeat_interval_s)
            if decision.send:
                dispatch = Dispatch(read, receiver, route, decision.reason, message)
                self._waiting.append(dispatch)
                remembered.on_its_way[receiver, read.revision] = Told.of(read, route)
                self._unconcluded += 1
            else:
                outputs.append(_output(notification(read, receiver, route, "suppressed", decision.reason)))
        return outputs

    def _recipients(self, labels: dict[str, str], remembered: Remembered) -> dict[str, tuple[str, Told | None]]:
        """Receiver to the route that names it and what it was told, on its way or already there."""
        told = remembered.known()
        routed = self._tree.recipients(labels)
        recipients = {receiver: (route, told.get(receiver)) for receiver, route in routed.items()}
        for receiver, last in sorted(told.items()):
            if receiver in self._receivers and receiver not in recipients and last.status not in CLOSED:
                recipients[receiver] = (last.route, last)
        return recipients

    def _command(self, message: Input) -> list[Output]:
        """Take a silence. Other commands, and what is no command at all, are correlate's to judge."""
        try:
            command = Command.from_json(message.value or b"")
        except ValidationError:
            return []
        if command.action != "silence":
            return []
        try:
            self._silences.add(Silence.from_command(command))
        except ValueError as error:
            return [dead_letter("route", message, "contract", f"the silence {command.command_id} is not used: {error}")]
        return []


def _read(message: Input) -> Incident | Output:
    """The incident of an alert, or the dead letter that it becomes."""
    if message.value is None:
        return dead_letter("route", message, "tombstone", "an alert without a value says nothing")
    if not message.value:
        return dead_letter("route", message, "empty", "the alert is empty")
    try:
        return Incident.from_json(message.value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            return dead_letter("route", message, "not_json", f"the alert is not JSON: {first['msg']}")
        place = ".".join(str(part) for part in first["loc"])
        return dead_letter("route", message, "contract", f"the alert is no incident: {place}: {first['msg']}")


def _output(decided: Notification) -> Output:
    return Output(NOTIFICATIONS, decided.notification_id.encode(), decided.to_json())
