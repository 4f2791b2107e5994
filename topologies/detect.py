"""The detect step on Kafka: it reads records and writes drifts. Its control topic contains the baselines."""

from pipeline.detect.step import DetectStep
from schemas.topics import BASELINES, RECORDS
from topologies.configuration import Configuration
from topologies.runtime import StepApplication, TopologySpec, build_application


def build(configuration: Configuration, *, replay: bool) -> StepApplication:
    """Build the application of ``driftwire worker detect``."""
    spec = TopologySpec(
        name="detect",
        topics=(RECORDS,),
        gap_effect="; the tests start with new evidence and the same baselines",
        control_topic=BASELINES,
        make_step=lambda partition: DetectStep(partition, configuration.detect, replay=replay),
    )
    return build_application(spec, configuration.kafka, configuration.metrics, replay=replay)
