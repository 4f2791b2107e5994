"""The Kafka cluster with its security settings, and a plain client that reads topics and writes single messages.

Steps do not write with it. This package may import errors only.
"""

from topologies.kafka.client import follow_topic, read_topic, write_message
from topologies.kafka.cluster import Cluster
from topologies.kafka.committed_log import committed_consumer, read_to_end

__all__ = [
    "Cluster",
    "committed_consumer",
    "follow_topic",
    "read_to_end",
    "read_topic",
    "write_message",
]
