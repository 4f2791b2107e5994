"""Check before a run that Kafka answers and has the topics. Clients would wait long for a missing topic."""

from collections.abc import Collection

from aiokafka.errors import TopicAuthorizationFailedError

from load.errors import LoadError
from topologies.kafka import Cluster


async def check_topics(cluster: Cluster, topics: Collection[str], *, right: str) -> None:
    """Check that Kafka answers and has the topics, and that the user may use them.

    Parameters
    ----------
    cluster, topics
        The Kafka cluster, and the names of the topics.
    right
        The permission that the run needs on the topics: Read or Write. An error names it.

    Raises
    ------
    BrokerUnreachable
        If Kafka does not answer.
    RightMissing
        If the user has no permission on a topic.
    LoadError
        If a topic does not exist.
    """
    found = await cluster.topic_metadata(topics)
    for topic in topics:
        with cluster.requiring(right, topic):
            if found[topic]["error_code"] == TopicAuthorizationFailedError.errno:
                raise TopicAuthorizationFailedError
    if missing := sorted(topic for topic in topics if not found[topic]["partitions"]):
        raise LoadError(
            f"Kafka at {cluster} has no topic {', '.join(missing)}: start driftwire on it first with driftwire up, or "
            "change --bootstrap"
        )
