"""The Kafka cluster, and a plain client that reads topics, writes single messages, and reads the history of an incident.

Steps do not write with it. This package may import errors only.
"""

from topologies.kafka.client import follow_topic, read_topic, write_message
from topologies.kafka.cluster import Cluster
from topologies.kafka.committed_log import committed_consumer, read_to_end
from topologies.kafka.incident_history import parse_incidents, read_review_material

__all__ = [
    "Cluster",
    "committed_consumer",
    "follow_topic",
    "parse_incidents",
    "read_review_material",
    "read_to_end",
    "read_topic",
    "write_message",
]
