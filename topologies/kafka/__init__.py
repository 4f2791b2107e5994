"""Plain Kafka client that reads topics, writes single messages, and reads the history of an incident.

Steps do not write with it. This package may import errors only.
"""

from topologies.kafka.client import follow_topic, read_topic, write_message
from topologies.kafka.committed_log import committed_consumer, read_to_end
from topologies.kafka.incident_history import parse_incidents, read_review_material
from topologies.kafka.record_batches import UnreadableBatch

__all__ = [
    "UnreadableBatch",
    "committed_consumer",
    "follow_topic",
    "parse_incidents",
    "read_review_material",
    "read_to_end",
    "read_topic",
    "write_message",
]
