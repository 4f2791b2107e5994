"""The route step on Kafka. It sends notifications in the background, and each checkpoint records their outcomes."""

import time
from typing import cast

from pipeline.route import RouteStep
from pipeline.step import OutputMessage, Step
from schemas.topics import ALERTS, COMMANDS
from topologies.configuration import Configuration
from topologies.receivers import NotificationSender, build_receivers
from topologies.runtime import StepApplication, TopologySpec, build_application


def build(configuration: Configuration, *, replay: bool) -> StepApplication:
    """Build the application of ``driftwire worker route``."""
    sender = NotificationSender(build_receivers(configuration.route, replay=replay))

    async def deliver(step: Step) -> list[OutputMessage]:
        # A replay ends when everything is read. Therefore a checkpoint of a replay covers only what has been sent.
        exchange = sender.exchange_all if replay else sender.exchange
        return await exchange(cast(RouteStep, step))

    async def finish(step: Step) -> None:
        if not replay:  # in a replay, the last checkpoint still sends what is due
            await sender.finish(cast(RouteStep, step))

    spec = TopologySpec(
        name="route",
        topics=(ALERTS, COMMANDS, *configuration.optional_topics("route", replay=replay)),
        make_step=lambda _: RouteStep(configuration.route, None if replay else int(time.time() * 1000)),
        deliver=deliver,
        finish_deliveries=finish,
        has_deliveries=lambda step: sender.has_work(cast(RouteStep, step)),
    )
    return build_application(spec, configuration.kafka, configuration.metrics, replay=replay)
