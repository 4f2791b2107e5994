"""Proof that the workers monitored the records: the judged share and the record counts in their checkpoints."""

from collections import Counter
from contextlib import aclosing

from load.bench.measurement.filled_topic import FilledTopic
from load.errors import LoadError
from load.traffic import partition_for_key
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.topics import BASELINES
from topologies.kafka import read_topic
from topologies.runtime import read_checkpoint

JUDGED_SHARE_MIN = 0.99
"""Minimum share of the signal values that must be monitored against a ready baseline."""


async def judged_problems(topic: FilledTopic) -> tuple[float, list[str], Counter[str]]:
    """Return the share of signal values that were monitored, a problem if it is too small, and the record counts.

    The share is the lowest of all partitions. It and the counts are read from steps that are restored from the workers'
    checkpoints, as after a partition reassignment.

    Raises
    ------
    LoadError
        If a checkpoint cannot be restored.
    """
    share, counts = await _read_judged(topic)
    problems = []
    if share < JUDGED_SHARE_MIN:
        problems.append(
            f"only {share:.4f} of the signal values were monitored against a baseline; the minimum is {JUDGED_SHARE_MIN}"
        )
    return share, problems, counts


async def _read_judged(topic: FilledTopic) -> tuple[float, Counter[str]]:
    cluster, settings = topic.kafka.cluster, topic.kafka.configuration.detect
    async with aclosing(read_topic(cluster, BASELINES)) as messages:
        baselines = [(_subject(message.key), message.value) async for message in messages]
    shares: list[float] = []
    counts = Counter[str]()
    for partition in range(topic.partitions):
        step = DetectStep(partition, settings, replay=False)
        for subject, value in baselines:
            # The records of a single subject are spread over all partitions.
            if topic.fleet.subjects == 1 or partition_for_key(subject, topic.partitions) == partition:
                step.control(RawMessage(BASELINES, 0, 0, 0, None, value), is_covered=True)
        parts = (await read_checkpoint(cluster, "detect", partition)).parts
        problems = list(step.restore((key, value) for key, value in parts.items() if not key.startswith(b"\x00")))
        if problems:
            raise LoadError(f"the checkpoint of partition {partition} cannot be restored: {problems[0]}")
        shares.append(step.judged_share())
        counts.update(step.counts())
    return min(shares), counts


def _subject(key: bytes | None) -> bytes:
    """Return the subject in the key of a baseline."""
    return (key or b"").rpartition(b"/")[0]
