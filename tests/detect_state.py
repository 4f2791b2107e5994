"""What a detect worker on real Kafka knows, as it left it in its last checkpoints."""

from aiokafka import TopicPartition

from pipeline.detect.step import DetectStep
from pipeline.detect.stream.parts import PARTITION_KEY
from pipeline.step import RawMessage
from schemas.dead_letter import DeadLetter
from schemas.topics import BASELINES, DEAD_LETTERS, checkpoints_topic
from topologies.configuration.configuration import Configuration
from topologies.kafka.client import read_all
from topologies.runtime.checkpoint import read_to_end


async def restored(bootstrap: str, configuration: Configuration, *, replay: bool = False) -> list[DetectStep]:
    """A step for each partition of the records, as its next owner would take it up, with all that it had buffered."""
    baselines: list[RawMessage] = [message async for message in read_all(bootstrap, BASELINES)]
    steps = []
    for partition in range(configuration.kafka.records_partitions):
        step = DetectStep(partition, configuration.detect, replay=replay)
        for baseline in baselines:
            step.control(baseline)
        parts = await read_to_end(bootstrap, TopicPartition(checkpoints_topic("detect"), partition))
        own = {key: value for key, value in parts.items() if key == PARTITION_KEY or not key.startswith(b"\x00")}
        assert list(step.restore(own.items())) == []
        steps.append(step)
    return steps


async def dead_letters(bootstrap: str) -> list[DeadLetter]:
    """All that were written and committed."""
    return [DeadLetter.from_json(message.value or b"") async for message in read_all(bootstrap, DEAD_LETTERS)]
