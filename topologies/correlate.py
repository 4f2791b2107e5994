"""correlate on Kafka: drifts, deployments and commands in, incidents out. One worker is active, the others stand by."""

import faust

from pipeline.correlate.step import CorrelateStep
from schemas.topics import COMMANDS, DEPLOYMENTS, DRIFTS
from topologies.configuration import Configuration
from topologies.runtime import Wiring, application


def build(configuration: Configuration, *, replay: bool) -> faust.App:
    """The application of ``driftwire worker correlate``."""
    return application(
        Wiring(
            name="correlate",
            topics=(DRIFTS, DEPLOYMENTS, COMMANDS),
            make=lambda _: CorrelateStep(configuration.correlate),
        ),
        configuration.kafka,
        replay=replay,
    )
