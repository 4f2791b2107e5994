"""The receivers: where notifications leave for. A kind of receiver is one file here.

Sending is the one thing that no Kafka transaction can hold, so it is at least once: the idempotency key of a
notification tells a repetition from a new one.
"""

import asyncio
import logging
import random
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from pipeline.route import Delivery, Dispatch, ReceiverSettings, RouteSettings, RouteStep
from pipeline.step import Output
from topologies.receivers.console import ConsoleReceiver
from topologies.receivers.webhook import WebhookReceiver

logger = logging.getLogger("driftwire")


class Receiver(Protocol):
    """One place that takes notifications."""

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Send one incident revision, within a time limit of its own, and say how it went; it does not raise."""
        ...


def build(settings: RouteSettings, *, replay: bool) -> dict[str, Receiver]:
    """The receivers of the settings, by name. In a replay all are consoles: nobody is to be told of the past."""
    return {one.name: _build(one, replay=replay) for one in settings.receivers}


async def deliver_pending(step: RouteStep, receivers: Mapping[str, Receiver]) -> list[Output]:
    """Send everything that is pending and record the outcomes.

    Receivers work side by side, each in the order of the decisions, so that a slow one delays no other's
    notifications.

    Parameters
    ----------
    step
        The step. Nothing is pending afterwards.
    receivers
        By name, as :func:`build` gives them.

    Returns
    -------
    list of Output
        A notification for each, and a dead letter for each that failed: for the transaction that holds the state.
    """
    pending = step.take_pending()
    queues: dict[str, list[Dispatch]] = {}
    for dispatch in pending:
        queues.setdefault(dispatch.receiver, []).append(dispatch)
    sent = await asyncio.gather(*(_deliver_all(receivers[name], queue) for name, queue in queues.items()))
    deliveries = {dispatch.notification_id: how for results in sent for dispatch, how in results}
    return [output for one in pending for output in step.record_delivery(one, deliveries[one.notification_id])]


async def _deliver_all(receiver: Receiver, queue: Sequence[Dispatch]) -> list[tuple[Dispatch, Delivery]]:
    results = []
    for dispatch in queue:
        try:
            delivery = await receiver.deliver(dispatch)
        except Exception as error:
            logger.exception("route: receiver %s failed on %s", dispatch.receiver, dispatch.notification_id)
            delivery = Delivery("failed", f"the receiver failed in itself ({type(error).__name__})", 1)
        if delivery.outcome == "failed":
            logger.warning("route: %s was not sent: %s", dispatch.notification_id, delivery.reason)
        results.append((dispatch, delivery))
    return results


def _build(settings: ReceiverSettings, *, replay: bool) -> Receiver:
    if replay or settings.kind == "console":
        return ConsoleReceiver(sys.stdout, clock=time.time)
    return WebhookReceiver(settings, clock=time.time, sleep=asyncio.sleep, jitter=random.random)
