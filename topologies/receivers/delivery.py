"""Delivery of notifications to receivers.

A Kafka transaction cannot include notifications to other systems, so each notification is sent at least once. A
receiver can detect repeats by their idempotency key.
"""

import asyncio
import logging
import random
import sys
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Protocol

from pipeline.route import Delivery, Dispatch, ReceiverSettings, RouteSettings, RouteStep
from pipeline.step import OutputMessage
from topologies.receivers.console import ConsoleReceiver
from topologies.receivers.webhook import WebhookReceiver

SENT_MAX = 10_000
"""Maximum sent notifications that a process remembers. Beyond it, the oldest is forgotten."""

logger = logging.getLogger("driftwire")


class Receiver(Protocol):
    """Receiver of notifications."""

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Send one revision of an incident within the time limit of the receiver. Return the outcome, and never raise."""
        ...


def build_receivers(settings: RouteSettings, *, replay: bool) -> dict[str, Receiver]:
    """Build the receivers of the settings, by name. In a replay, all receivers are consoles, and nobody is notified."""
    return {receiver.name: _build_receiver(receiver, replay=replay) for receiver in settings.receivers}


class NotificationSender:
    """Sender of the pending notifications of a step. It remembers the notifications that receivers accepted.

    A notification is pending again if the checkpoint after its delivery fails. The same process then does not send it a
    second time. Another process may, with the same idempotency key.

    Parameters
    ----------
    receivers
        The receivers by name, as :func:`build_receivers` returns them.
    """

    def __init__(self, receivers: Mapping[str, Receiver]) -> None:
        self._receivers = receivers
        self._sent: OrderedDict[str, Delivery] = OrderedDict()

    async def send_pending(self, step: RouteStep) -> list[OutputMessage]:
        """Send all pending dispatches of a step and record their outcome.

        Receivers work concurrently, so a slow receiver does not delay other receivers. Each receiver gets its
        dispatches in the order in which they were decided.

        Parameters
        ----------
        step
            Step whose pending dispatches are sent. Afterwards it has none.

        Returns
        -------
        list of Output
            One notification per dispatch and one dead letter per failure, to be written in the same transaction as the
            state.
        """
        pending = step.take_pending()
        queues: dict[str, list[Dispatch]] = {}
        for dispatch in pending:
            queues.setdefault(dispatch.receiver, []).append(dispatch)
        results = await asyncio.gather(*(self._send_queue(queue) for queue in queues.values()))
        deliveries = {dispatch.notification_id: delivery for result in results for dispatch, delivery in result}
        return [
            output
            for dispatch in pending
            for output in step.record_delivery(dispatch, deliveries[dispatch.notification_id])
        ]

    async def _send_queue(self, queue: Sequence[Dispatch]) -> list[tuple[Dispatch, Delivery]]:
        return [
            (dispatch, self._sent.get(dispatch.notification_id) or await self._send(dispatch)) for dispatch in queue
        ]

    async def _send(self, dispatch: Dispatch) -> Delivery:
        try:
            delivery = await self._receivers[dispatch.receiver].deliver(dispatch)
        except Exception as error:
            logger.exception(
                "route: receiver %s raised an error on notification %s", dispatch.receiver, dispatch.notification_id
            )
            delivery = Delivery("failed", f"the receiver raised an internal error ({type(error).__name__})", 1)
        if delivery.outcome == "failed":
            logger.warning("route: notification %s was not sent: %s", dispatch.notification_id, delivery.reason)
        else:
            self._sent[dispatch.notification_id] = delivery
            if len(self._sent) > SENT_MAX:
                self._sent.popitem(last=False)
        return delivery


def _build_receiver(settings: ReceiverSettings, *, replay: bool) -> Receiver:
    if replay or settings.kind == "console":
        return ConsoleReceiver(sys.stdout, clock=time.time)
    return WebhookReceiver(
        settings, clock=time.time, monotonic=time.monotonic, sleep=asyncio.sleep, jitter=random.random
    )
