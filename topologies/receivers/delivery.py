"""Delivery of notifications to receivers.

A Kafka transaction cannot include notifications to other systems, so each notification is sent at least once. A
receiver can detect repeats by their idempotency key.
"""

import asyncio
import logging
import random
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from pipeline.route import Delivery, Dispatch, ReceiverSettings, RouteSettings, RouteStep
from pipeline.step import OutputMessage
from topologies.receivers.console import ConsoleReceiver
from topologies.receivers.webhook import WebhookReceiver

logger = logging.getLogger("driftwire")


class Receiver(Protocol):
    """Receiver of notifications."""

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Send one revision of an incident within the time limit of the receiver. Return the outcome, and never raise."""
        ...


def build_receivers(settings: RouteSettings, *, replay: bool) -> dict[str, Receiver]:
    """Build the receivers of the settings, by name. In a replay, all receivers are consoles, and nobody is notified."""
    return {receiver.name: _build_receiver(receiver, replay=replay) for receiver in settings.receivers}


async def deliver_pending(step: RouteStep, receivers: Mapping[str, Receiver]) -> list[OutputMessage]:
    """Send all pending dispatches of a step and record their outcome.

    Receivers work concurrently, so a slow receiver does not delay other receivers. Each receiver gets its dispatches in
    the order in which they were decided.

    Parameters
    ----------
    step
        Step whose pending dispatches are sent. Afterwards it has none.
    receivers
        The receivers by name, as :func:`build_receivers` returns them.

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
    sent = await asyncio.gather(*(_deliver_all(receivers[name], queue) for name, queue in queues.items()))
    deliveries = {dispatch.notification_id: delivery for results in sent for dispatch, delivery in results}
    return [
        output
        for dispatch in pending
        for output in step.record_delivery(dispatch, deliveries[dispatch.notification_id])
    ]


async def _deliver_all(receiver: Receiver, queue: Sequence[Dispatch]) -> list[tuple[Dispatch, Delivery]]:
    results = []
    for dispatch in queue:
        try:
            delivery = await receiver.deliver(dispatch)
        except Exception as error:
            logger.exception(
                "route: receiver %s raised an error on notification %s", dispatch.receiver, dispatch.notification_id
            )
            delivery = Delivery("failed", f"the receiver raised an internal error ({type(error).__name__})", 1)
        if delivery.outcome == "failed":
            logger.warning("route: notification %s was not sent: %s", dispatch.notification_id, delivery.reason)
        results.append((dispatch, delivery))
    return results


def _build_receiver(settings: ReceiverSettings, *, replay: bool) -> Receiver:
    if replay or settings.kind == "console":
        return ConsoleReceiver(sys.stdout, clock=time.time)
    return WebhookReceiver(settings, clock=time.time, sleep=asyncio.sleep, jitter=random.random)
