"""Ids and partition counts of the topics to which the offsets and the state in a checkpoint belong.

They reveal topics that were deleted and created again, and topics with additional partitions.
"""

from dataclasses import dataclass

import orjson

from topologies.kafka import Cluster
from topologies.runtime.inputs.topic_ids import read_topic_ids

KNOWN_TOPICS_KEY = b"\x00topics"
"""Key of the part that contains the ids and counts. No part of a step's state has this key."""


@dataclass(frozen=True, slots=True)
class TopicChanges:
    """Changes of topics since the last checkpoint.

    Attributes
    ----------
    created_again
        Topics that were deleted and created again. Offsets in the state do not belong to them.
    grown
        Old and new number of partitions of each topic with additional partitions.
    is_changed
        True if the next checkpoint must contain the ids and counts.
    """

    created_again: set[str]
    grown: dict[str, tuple[int, int]]
    is_changed: bool

    def describe(self) -> list[str]:
        """Return one sentence per topic that was created again or has more partitions."""
        again = [
            f"{topic} was deleted and created again; reading starts at the beginning of the topic"
            for topic in sorted(self.created_again)
        ]
        grown = [
            f"{topic} has {now} partitions instead of {before}, so messages with the same key can be in two partitions"
            for topic, (before, now) in sorted(self.grown.items())
        ]
        return again + grown


class KnownTopics:
    """Ids and partition counts of the topics that a worker reads.

    Parameters
    ----------
    cluster
        The Kafka cluster.
    topics
        Names of the topics.
    """

    def __init__(self, cluster: Cluster, topics: tuple[str, ...]) -> None:
        self._cluster = cluster
        self._topics = topics
        self._known: dict[str, tuple[str, int]] = {}

    def load(self, part: bytes) -> None:
        """Restore the ids and counts from a checkpoint. Ignore a part that cannot be read."""
        try:
            self._known = {str(name): (str(topic_id), int(count)) for name, topic_id, count in orjson.loads(part)}
        except (ValueError, TypeError):
            self._known = {}

    def dump(self) -> bytes:
        """Return the ids and counts for a checkpoint."""
        return orjson.dumps([[name, *identity] for name, identity in sorted(self._known.items())])

    async def update(self) -> TopicChanges:
        """Read the ids and counts from Kafka, and return the changes.

        Raises
        ------
        KafkaError
            If Kafka does not answer.
        """
        before, found = self._known, await read_topic_ids(self._cluster, self._topics)
        self._known = before | found
        common = found.keys() & before.keys()
        created_again = {name for name in common if found[name][0] != before[name][0]}
        return TopicChanges(
            created_again=created_again,
            grown={
                name: (before[name][1], found[name][1])
                for name in common - created_again
                if found[name][1] > before[name][1]
            },
            is_changed=self._known != before,
        )
