"""The inputs of a worker: which partitions it fetches, from which offsets, and whether their messages arrive in order.

This package may import the checkpoints.
"""

from topologies.runtime.inputs.input_control import InputControl
from topologies.runtime.inputs.known_topics import KNOWN_TOPICS_KEY, KnownTopics
from topologies.runtime.inputs.order_sentinel import OrderSentinel
from topologies.runtime.inputs.positions import find_available_offset, find_start

__all__ = [
    "KNOWN_TOPICS_KEY",
    "InputControl",
    "KnownTopics",
    "OrderSentinel",
    "find_available_offset",
    "find_start",
]
