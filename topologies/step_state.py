"""The state of a step in Kafka, for commands: the parts and the input offsets of its last checkpoints."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.state import Part
from schemas.topics import checkpoints_topic
from topologies.kafka import Cluster, read_topic

OTHER_KEYS_PREFIX = b"\x00"
"""First byte of every key in a checkpoint topic that does not belong to a part of the state."""

ENTRY_KEY = OTHER_KEYS_PREFIX + b"offsets"
"""Key of the entry of a checkpoint."""


class CheckpointEntry(BaseModel):
    """Last message of a checkpoint. Fields of a newer format are ignored, because the format is checked first."""

    model_config = ConfigDict(strict=True, extra="ignore")

    format: int
    sequence: int = 0
    digest: str = ""
    offsets: dict[str, int] = Field(default_factory=dict)


@dataclass(slots=True)
class PartitionState:
    """The state of a step for one input partition.

    Attributes
    ----------
    parts
        The parts by key.
    offsets
        Last used offset by input topic.
    written_ms
        Time of the last checkpoint in Unix milliseconds, or None if there is none.
    """

    parts: dict[bytes, bytes] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    written_ms: int | None = None


async def read_step_state(
    cluster: Cluster, step: str, *, is_needed: Callable[[str, str], bool] | None = None
) -> dict[int, PartitionState]:
    """Return the state of a step by partition. Partitions without a checkpoint are missing.

    Parameters
    ----------
    is_needed
        Function that selects parts by kind and item. All other parts are skipped, because a large state does not fit
        into memory. None selects all parts.

    Raises
    ------
    BrokerUnreachable, TopicMissing, ReadFailed, RightMissing
        As for :func:`topologies.kafka.read_topic`.
    """
    states: dict[int, PartitionState] = {}
    is_selected = functools.cache(functools.partial(_is_selected, is_needed))
    async for message in read_topic(cluster, checkpoints_topic(step)):
        key = message.key or OTHER_KEYS_PREFIX
        state = states.setdefault(message.partition, PartitionState())
        if key == ENTRY_KEY:
            state.written_ms, state.offsets = message.timestamp, _read_offsets(message.value)
        elif key.startswith(OTHER_KEYS_PREFIX):
            continue
        elif message.value is None:
            state.parts.pop(key, None)
        elif is_selected(key.partition(b"/")[0]):
            state.parts[key] = message.value
    return states


def _is_selected(is_needed: Callable[[str, str], bool] | None, start: bytes) -> bool:
    """Return whether parts are selected whose keys start with a kind and an item."""
    if is_needed is None:
        return True
    try:
        part, _ = Part.from_key(start + b"/")
    except ValueError:
        return False
    return is_needed(part.kind, part.item)


def _read_offsets(value: bytes | None) -> dict[str, int]:
    try:
        return CheckpointEntry.model_validate_json(value or b"").offsets
    except ValidationError:
        return {}
