"""The detect step on Kafka: it reads records and writes drifts. Its control topic contains the baselines."""

import faust

from pipeline.detect.step import DetectStep
from schemas.topics import BASELINES, RECORDS
from topologies.configuration import Configuration
from topologies.runtime import TopologySpec, build_application


def build(configuration: Configuration, *, replay: bool) -> faust.App:
    """Build the application of ``driftwire worker detect``."""
    spec = TopologySpec(
        name="detect",
        topics=(RECORDS,),
        gap_effect="; the tests start with new evidence and the same baselines",
        control_topic=BASELINES,
        make_step=lambda partition: DetectStep(partition, configuration.detect, replay=replay),
    )
    return build_application(spec, configuration.kafka, replay=replay)
