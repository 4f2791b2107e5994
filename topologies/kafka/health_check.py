"""Health check: whether Kafka answers and has the topics that a reader waits for.

aiokafka only writes log lines while it reconnects, so a reader without messages would not know why there are none.
"""

import asyncio
import contextlib
import logging
from collections.abc import Collection
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.protocol.metadata import MetadataRequest

from topologies.kafka.cluster import Cluster

ANSWER_TIMEOUT_S = 2.0
"""Maximum seconds until a broker answers."""

UNREAD_TIMEOUT_S = 0.2
"""Maximum seconds in which an answer that has arrived is read."""

logger = logging.getLogger("driftwire")


class HealthCheck:
    """Health check for a reader that waits for messages. It logs when Kafka stops answering and when it answers again.

    A missing permission is not logged here, because reading reports it.

    Parameters
    ----------
    cluster
        The Kafka cluster.

    Attributes
    ----------
    problem
        The reason why there are no messages, according to the last check, or nothing.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.problem = ""

    async def run(self, client: AIOKafkaClient, topics: Collection[str]) -> None:
        """Query the topics of the reader, and log if Kafka no longer answers or answers again."""
        problem = await self._find_problem(client, topics)
        if problem == self.problem:
            return
        self.problem = problem
        if problem:
            logger.warning("%s; waiting for it", problem)
        else:
            logger.warning("Kafka at %s answers again", self._cluster)

    async def _find_problem(self, client: AIOKafkaClient, topics: Collection[str]) -> str:
        response = await _ask_brokers(client, MetadataRequest(list(topics), allow_auto_topic_creation=False))
        if response is None:
            return f"Kafka at {self._cluster} does not answer"
        for topic in response.to_object()["topics"]:
            if topic["error_code"] == UnknownTopicOrPartitionError.errno:
                return f"Kafka at {self._cluster} has no topic {topic['topic']}"
            if any(partition["leader"] < 0 for partition in topic["partitions"]):
                return f"Kafka at {self._cluster} has no leader for a partition of {topic['topic']}"
        return ""


async def _ask_brokers(client: AIOKafkaClient, request: MetadataRequest) -> Any:
    """Return the answer of the first broker that answers, or None."""
    for broker in client.cluster.brokers():
        asking = asyncio.ensure_future(client.send(broker.nodeId, request))
        try:
            # If a step has kept the event loop busy for longer than the timeout, an answer can be there unread.
            for seconds in (ANSWER_TIMEOUT_S, UNREAD_TIMEOUT_S):
                await asyncio.wait({asking}, timeout=seconds)
            if asking.done():
                with contextlib.suppress(OSError, KafkaError):
                    return asking.result()
        finally:
            asking.cancel()
    return None
