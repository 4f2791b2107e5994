"""The intake step on Kafka: it reads topics of other services and writes records."""

from aiokafka.partitioner import murmur2

from pipeline.intake import IntakeStep
from topologies.configuration import Configuration
from topologies.runtime import StepApplication, TopologySpec, build_application


def build(configuration: Configuration, *, replay: bool) -> StepApplication:
    """Build the application of ``driftwire worker intake``."""
    topics = configuration.intake.topics
    time_zone, partitions = configuration.detect.time_zone, configuration.kafka.records_partitions
    mappings = {topic: configuration.intake.mapping(topic, time_zone) for topic in topics}
    spec = TopologySpec(
        name="intake",
        topics=tuple(topics),
        make_step=lambda _: IntakeStep(mappings, lambda key: choose_partition(key, partitions)),
    )
    return build_application(spec, configuration.kafka, configuration.metrics, replay=replay)


def choose_partition(key: bytes, partitions: int) -> int:
    """Return the partition of a key as Kafka's own producers choose it: murmur2 of the key.

    >>> choose_partition(b"support-bot", 4)
    1
    """
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
