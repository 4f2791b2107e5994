"""The embedded Kafka broker: jars, folder, settings, topics.

This package may import errors and kafka.
"""

from topologies.broker.broker_topics import create_topics, grow_topics
from topologies.broker.child_process import exit_with_parent
from topologies.broker.embedded_broker import EmbeddedBroker
from topologies.broker.jars import KAFKA_VERSION

__all__ = ["KAFKA_VERSION", "EmbeddedBroker", "create_topics", "exit_with_parent", "grow_topics"]
