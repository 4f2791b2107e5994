"""Check before a run that Kafka answers and has the topics. Clients would wait long for a missing topic."""

from collections.abc import Collection

from load.errors import LoadError
from topologies.kafka import Cluster


async def check_topics(cluster: Cluster, topics: Collection[str]) -> None:
    """Check that Kafka answers and has the topics.

    Raises
    ------
    BrokerUnreachable
        If Kafka does not answer.
    LoadError
        If a topic does not exist.
    """
    found = await cluster.topic_metadata(topics)
    if missing := sorted(topic for topic in topics if not found[topic]["partitions"]):
        raise LoadError(
            f"Kafka at {cluster} has no topic {', '.join(missing)}: start driftwire on it first with driftwire up, or "
            "change --bootstrap"
        )
