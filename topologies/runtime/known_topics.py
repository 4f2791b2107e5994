"""Ids of the topics to which the offsets in a checkpoint belong. They reveal a topic that was created again."""

import orjson

from topologies.kafka import Cluster, read_topic_ids

TOPIC_IDS_KEY = b"\x00topics"
"""Key of the part that contains the ids. No part of a step's state has this key."""


class KnownTopics:
    """Ids of the topics that a worker reads.

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
        self._ids: dict[str, str] = {}

    def load(self, part: bytes) -> None:
        """Restore the ids from a checkpoint. Ignore a part that cannot be read."""
        try:
            ids = orjson.loads(part)
        except orjson.JSONDecodeError:
            return
        if isinstance(ids, dict):
            self._ids = {str(topic): str(topic_id) for topic, topic_id in ids.items()}

    def dump(self) -> bytes:
        """Return the ids for a checkpoint."""
        return orjson.dumps(self._ids)

    async def update(self) -> tuple[set[str], bool]:
        """Read the ids from Kafka. Return the topics that were created again, and whether any id is new.

        Raises
        ------
        KafkaError
            If Kafka does not answer.
        """
        before = self._ids
        ids = await read_topic_ids(self._cluster, self._topics)
        self._ids = before | ids
        return {
            topic for topic, topic_id in ids.items() if before.get(topic, topic_id) != topic_id
        }, self._ids != before
