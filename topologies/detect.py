"""detect on Kafka: records in, drifts out, with the baselines as its control input."""

import faust

from pipeline.detect.step import DetectStep
from schemas.topics import BASELINES, RECORDS
from topologies.configuration import Configuration
from topologies.runtime import Wiring, application


def build(configuration: Configuration, *, replay: bool) -> faust.App:
    """The application of ``driftwire worker detect``."""
    return application(
        Wiring(
            name="detect",
            topics=(RECORDS,),
            control_topic=BASELINES,
            make=lambda partition: DetectStep(partition, configuration.detect, replay=replay),
        ),
        configuration.kafka,
        replay=replay,
    )
