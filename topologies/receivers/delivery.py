"""Delivery of notifications to receivers.

A Kafka transaction cannot include notifications to other systems, so each notification is sent at least once. A
receiver can detect repeats by their idempotency key.
"""

import asyncio
import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast
from weakref import WeakSet

from pipeline.route import Delivery, Dispatch, NoticeDispatch, ReceiverSettings, Resend, RouteSettings, RouteStep
from pipeline.step import OutputMessage
from topologies.receivers.alertmanager import AlertmanagerReceiver
from topologies.receivers.apprise import AppriseReceiver
from topologies.receivers.console import ConsoleReceiver
from topologies.receivers.github import GitHubReceiver
from topologies.receivers.http import HttpClient
from topologies.receivers.pagerduty import PagerDutyReceiver
from topologies.receivers.slack import SlackReceiver
from topologies.receivers.webhook import WebhookReceiver

SENT_MAX = 10_000
"""Maximum sent notifications that a process remembers. Beyond it, the oldest is forgotten."""

PATIENCE_S = 0.2
"""Seconds for which a checkpoint waits for the attempts that it starts. Higher values record more outcomes in the same
checkpoint, but delay it."""

BATCH_TIME_S = 5.0
"""Seconds after which a batch of attempts ends early. Higher values make a new notification wait longer for a slow
receiver."""

FINISH_TIME_S = 1.0
"""Seconds for which the attempts in flight may go on when a step closes. Higher values repeat fewer notifications."""

AnyDispatch = Dispatch | NoticeDispatch

logger = logging.getLogger("driftwire")


@dataclass(frozen=True, slots=True)
class _RunningAttempts:
    """Attempts to send notifications of a step to one receiver."""

    step: RouteStep
    outcomes: list[tuple[AnyDispatch, Delivery]]
    task: asyncio.Task[None]


class Receiver(Protocol):
    """Receiver of notifications."""

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Try once to send one revision of an incident, within the time limit of an attempt.

        Return the outcome, and never raise.
        """
        ...


class NoticeReceiver(Receiver, Protocol):
    """Receiver that can also send notices. The settings name no other receiver for them."""

    async def deliver_notice(self, dispatch: NoticeDispatch) -> Delivery:
        """Try once to send a notice, as :meth:`deliver` sends a revision."""
        ...


class ResendingReceiver(Receiver, Protocol):
    """Receiver with a ``resend_interval_s``, to which open incidents must be sent again."""

    async def resend(self, resend: Resend) -> None:
        """Try once to send open incidents again."""
        ...


def build_receivers(settings: RouteSettings, *, replay: bool) -> dict[str, Receiver]:
    """Build the receivers of the settings, by name. In a replay, all receivers are consoles, and nobody is notified."""
    return {receiver.name: _build_receiver(receiver, replay=replay) for receiver in settings.receivers}


class NotificationSender:
    """Sender of the notifications of a step, in the background. It remembers the notifications that receivers accepted.

    A notification is due again if the checkpoint after its delivery fails. The same process then does not send it a
    second time. Another process may, with the same idempotency key.

    Parameters
    ----------
    receivers
        The receivers by name, as :func:`build_receivers` returns them.
    """

    def __init__(self, receivers: Mapping[str, Receiver]) -> None:
        self._receivers = receivers
        self._sent: OrderedDict[str, Delivery] = OrderedDict()
        self._batches: dict[str, _RunningAttempts] = {}
        self._closing: WeakSet[RouteStep] = WeakSet()

    def has_work(self, step: RouteStep) -> bool:
        """Return whether outcomes can be recorded or attempts are due."""
        return any(batch.task.done() for batch in self._batches.values()) or step.has_pending(self._batches.keys())

    async def exchange(self, step: RouteStep) -> list[OutputMessage]:
        """Record the outcomes of finished attempts of a step, and start the attempts that are due.

        Receivers work concurrently, so a slow receiver does not delay other receivers. Each receiver gets its
        notifications one after another, and re-sends when it has none. The attempts go on in the background,
        but those that end within :data:`PATIENCE_S` are recorded at once.

        Parameters
        ----------
        step
            Step whose notifications are sent.

        Returns
        -------
        list of Output
            A notification per outcome and a dead letter per failure, to be written in the same transaction as the state.
        """
        outputs = self._collect(step)
        if step in self._closing:
            return outputs
        batches: dict[str, list[AnyDispatch]] = {}
        for dispatch in step.take_pending(self._batches.keys()):
            batches.setdefault(dispatch.receiver, []).append(dispatch)
        started = {receiver: self._start(step, dispatches) for receiver, dispatches in batches.items()}
        for resend in step.take_resends(self._batches.keys() | started.keys()):
            started[resend.receiver] = _RunningAttempts(step, [], asyncio.create_task(self._resend(resend)))
        self._batches |= started
        if started:
            await asyncio.wait([batch.task for batch in started.values()], timeout=PATIENCE_S)
            outputs += self._collect(step)
        return outputs

    async def exchange_all(self, step: RouteStep) -> list[OutputMessage]:
        """Send and record everything that is due, for receivers that never wait, such as the consoles of a replay."""
        outputs = await self.exchange(step)
        while self.has_work(step):
            outputs += await self.exchange(step)
        return outputs

    async def finish(self, step: RouteStep) -> None:
        """Start no further attempts for a step that closes, and wait for those in flight.

        Attempts that take longer than :data:`FINISH_TIME_S` are cancelled. What they sent stays owed.
        """
        self._closing.add(step)
        tasks = [batch.task for batch in self._batches.values() if batch.step is step]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=FINISH_TIME_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _start(self, step: RouteStep, dispatches: Sequence[AnyDispatch]) -> _RunningAttempts:
        outcomes: list[tuple[AnyDispatch, Delivery]] = []
        return _RunningAttempts(step, outcomes, asyncio.create_task(self._send_batch(step, dispatches, outcomes)))

    def _collect(self, step: RouteStep) -> list[OutputMessage]:
        """Remove the finished batches, and record the outcomes of those of this step.

        The step of another batch was replaced after an error. Its pending notifications are pending in this step too.
        """
        outputs: list[OutputMessage] = []
        for receiver, batch in list(self._batches.items()):
            if batch.task.done():
                del self._batches[receiver]
                if batch.step is step:
                    for dispatch, delivery in batch.outcomes:
                        outputs += step.record_delivery(dispatch, delivery)
        return outputs

    async def _send_batch(
        self, step: RouteStep, dispatches: Sequence[AnyDispatch], outcomes: list[tuple[AnyDispatch, Delivery]]
    ) -> None:
        """Send notifications to one receiver, and add the outcomes.

        The rest is deferred after an attempt that must be repeated, after :data:`BATCH_TIME_S`, and if the step closes.
        """
        ends_at = asyncio.get_running_loop().time() + BATCH_TIME_S
        is_over = False
        for dispatch in dispatches:
            delivery = self._sent.get(dispatch.message_id)
            if delivery is None:
                is_over = is_over or step in self._closing or asyncio.get_running_loop().time() > ends_at
                delivery = Delivery("deferred", "", 0) if is_over else await self._send(dispatch)
                is_over |= delivery.outcome == "retry"
            outcomes.append((dispatch, delivery))

    async def _resend(self, resend: Resend) -> None:
        receiver = cast(ResendingReceiver, self._receivers[resend.receiver])
        try:
            await receiver.resend(resend)
        except Exception:
            logger.exception("route: receiver %s raised an error on a re-send", resend.receiver)

    async def _send(self, dispatch: AnyDispatch) -> Delivery:
        try:
            receiver = self._receivers[dispatch.receiver]
            if isinstance(dispatch, NoticeDispatch):
                delivery = await cast(NoticeReceiver, receiver).deliver_notice(dispatch)
            else:
                delivery = await receiver.deliver(dispatch)
        except Exception as error:
            logger.exception(
                "route: receiver %s raised an error on notification %s", dispatch.receiver, dispatch.message_id
            )
            delivery = Delivery("retry", f"the receiver raised an internal error ({type(error).__name__})", 1)
        if delivery.outcome == "sent":
            self._sent[dispatch.message_id] = delivery
            if len(self._sent) > SENT_MAX:
                self._sent.popitem(last=False)
        else:
            after = "it stays owed" if delivery.outcome == "retry" else "it is dead-lettered"
            logger.warning(
                "route: notification %s was not sent, and %s: %s", dispatch.message_id, after, delivery.reason
            )
        return delivery


def _build_receiver(settings: ReceiverSettings, *, replay: bool) -> Receiver:
    console = ConsoleReceiver(sys.stdout, clock=time.time)
    if replay:
        return console
    client = HttpClient(settings.timeout_s, time.time)
    if settings.webhook is not None:
        return WebhookReceiver(settings.webhook, client, clock=time.time)
    if settings.alertmanager is not None:
        return AlertmanagerReceiver(settings.alertmanager, client, clock=time.time)
    if settings.slack is not None:
        return SlackReceiver(settings.slack, client, clock=time.time)
    if settings.github is not None:
        return GitHubReceiver(settings.github, client, clock=time.time)
    if settings.apprise is not None:
        return AppriseReceiver(settings.apprise, timeout_s=settings.timeout_s, clock=time.time)
    if settings.pagerduty is not None:
        return PagerDutyReceiver(settings.pagerduty, client, clock=time.time)
    return console
