"""The Kafka cluster, a simple client that reads topics and writes single messages, and the reader of fetched batches.

Steps do not write with it. This package may import errors and the security settings.
"""

from topologies.kafka.client import follow_topic, read_topic, write_message
from topologies.kafka.cluster import Cluster
from topologies.kafka.committed_log import committed_consumer, read_to_end
from topologies.kafka.health_check import HealthCheck
from topologies.kafka.record_batches import UnreadableBatch

__all__ = [
    "Cluster",
    "HealthCheck",
    "UnreadableBatch",
    "committed_consumer",
    "follow_topic",
    "read_to_end",
    "read_topic",
    "write_message",
]
