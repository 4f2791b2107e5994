"""route on Kafka: incidents and silences in, notifications out. What is sent is sent just before its checkpoint."""

from typing import cast

import faust

from pipeline.route import RouteStep
from pipeline.step import Output, Step
from schemas.topics import ALERTS, COMMANDS
from topologies.configuration import Configuration
from topologies.receivers import build as build_receivers
from topologies.receivers import deliver_pending
from topologies.runtime import Wiring, application


def build(configuration: Configuration, *, replay: bool) -> faust.App:
    """The application of ``driftwire worker route``."""
    receivers = build_receivers(configuration.route, replay=replay)

    async def deliver(step: Step) -> list[Output]:
        return await deliver_pending(cast(RouteStep, step), receivers)

    return application(
        Wiring(
            name="route",
            topics=(ALERTS, COMMANDS),
            make=lambda _: RouteStep(configuration.route),
            deliver=deliver,
        ),
        configuration.kafka,
        replay=replay,
    )
