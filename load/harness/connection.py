"""Check before a run that Kafka answers and has the topics. Clients would wait long for a missing topic."""

import asyncio
from collections.abc import Collection

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from load.errors import LoadError
from topologies.kafka import Cluster

CONNECT_TIMEOUT_S = 10.0
"""Maximum seconds until Kafka answers."""


async def check_topics(cluster: Cluster, topics: Collection[str]) -> None:
    """Check that Kafka answers and has the topics.

    Raises
    ------
    LoadError
        If Kafka does not answer, or if a topic does not exist.
    """
    admin = AIOKafkaAdminClient(**cluster.client_options())
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await admin.start()
            known = {entry["topic"] for entry in await admin.describe_topics()}
    except (KafkaError, OSError) as error:
        raise LoadError(
            f"no Kafka broker answers at {cluster}: check that Kafka is running and that the address is right"
        ) from error
    finally:
        await admin.close()
    if missing := sorted(set(topics) - known):
        raise LoadError(
            f"Kafka at {cluster} has no topic {', '.join(missing)}: start driftwire on it first with driftwire up, or "
            "change --bootstrap"
        )
