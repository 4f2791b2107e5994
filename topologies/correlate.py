"""The correlate step on Kafka. One worker is active; other workers are standbys."""

from pipeline.correlate.step import CorrelateStep
from schemas.topics import COMMANDS, DEPLOYMENTS, DRIFTS
from topologies.configuration import Configuration
from topologies.runtime import StepApplication, TopologySpec, build_application


def build(configuration: Configuration, *, replay: bool) -> StepApplication:
    """Build the application of ``driftwire worker correlate``."""
    spec = TopologySpec(
        name="correlate",
        topics=(DRIFTS, DEPLOYMENTS, COMMANDS),
        make_step=lambda _: CorrelateStep(configuration.correlate, replay=replay),
    )
    return build_application(spec, configuration.kafka, configuration.metrics, replay=replay)
