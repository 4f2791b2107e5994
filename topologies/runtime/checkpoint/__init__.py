"""Checkpoints: the transaction that writes outputs, state and offsets, the stored form, and Kafka's refusals.

It may import errors, kafka and step_state only. It contains no schedule: ``runtime.py`` decides when a checkpoint is written.
"""

from topologies.runtime.checkpoint.checkpoint import Checkpoints, CheckpointTopicReplaced
from topologies.runtime.checkpoint.refusals import CheckpointFailed, MessagesRefused, describe_refusal
from topologies.runtime.checkpoint.stored_checkpoint import StoredCheckpoint, read_checkpoint

__all__ = [
    "CheckpointFailed",
    "CheckpointTopicReplaced",
    "Checkpoints",
    "MessagesRefused",
    "StoredCheckpoint",
    "describe_refusal",
    "read_checkpoint",
]
