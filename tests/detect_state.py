"""The state of detect workers on real Kafka, restored from their last checkpoints."""

from aiokafka import TopicPartition

from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.dead_letter import DeadLetter
from schemas.topics import BASELINES, DEAD_LETTERS, checkpoints_topic
from topologies.configuration import Configuration
from topologies.kafka import read_to_end, read_topic


async def restored(bootstrap: str, configuration: Configuration, *, replay: bool = False) -> list[DetectStep]:
    """Return a step per partition of the records, restored as its next worker would, with the buffered records."""
    baselines: list[RawMessage] = [message async for message in read_topic(bootstrap, BASELINES)]
    steps = []
    for partition in range(configuration.kafka.records_partitions):
        step = DetectStep(partition, configuration.detect, replay=replay)
        for baseline in baselines:
            step.control(baseline)
        parts = await read_to_end(bootstrap, TopicPartition(checkpoints_topic("detect"), partition))
        problems = list(step.restore((key, value) for key, value in parts.items() if not key.startswith(b"\x00")))
        assert problems == []
        steps.append(step)
    return steps


async def dead_letters(bootstrap: str) -> list[DeadLetter]:
    """Return all dead letters that were committed."""
    return [DeadLetter.from_json(message.value or b"") async for message in read_topic(bootstrap, DEAD_LETTERS)]
