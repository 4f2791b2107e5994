"""The state of detect workers on real Kafka, restored from their last checkpoints."""

from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.dead_letter import DeadLetter
from schemas.topics import BASELINES, DEAD_LETTERS
from topologies.configuration.configuration import Configuration
from topologies.kafka import Cluster
from topologies.kafka.client import read_topic
from topologies.runtime.checkpoint import read_checkpoint
from topologies.runtime.inputs.known_topics import KNOWN_TOPICS_KEY


async def restored(cluster: Cluster, configuration: Configuration, *, replay: bool = False) -> list[DetectStep]:
    """Return a step per partition of the records, restored as its next worker would, with the buffered records."""
    baselines: list[RawMessage] = [message async for message in read_topic(cluster, BASELINES)]
    steps = []
    for partition in range(configuration.kafka.records_partitions):
        step = DetectStep(partition, configuration.detect, replay=replay)
        for baseline in baselines:
            step.control(baseline)
        stored = await read_checkpoint(cluster, "detect", partition)
        parts = {key: value for key, value in stored.parts.items() if key != KNOWN_TOPICS_KEY}
        assert list(step.restore(parts.items())) == []
        steps.append(step)
    return steps


async def dead_letters(cluster: Cluster) -> list[DeadLetter]:
    """Return all dead letters that were committed."""
    return [DeadLetter.from_json(message.value or b"") async for message in read_topic(cluster, DEAD_LETTERS)]
