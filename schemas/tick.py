"""Tick: the watermark of a partition of ``driftwire.records``. Ticks are the only clock of correlate."""

from typing import Literal

from pydantic import Field

from schemas.message import Message, Position, Version
from schemas.timestamp import Timestamp


class Tick(Message):
    """Watermark of a partition. Outside a replay, it also has the wall-clock time."""

    type: Literal["tick"] = Field(default="tick", description="Type of the message, which shares its topic.")
    version: Version = 1
    partition: Position = Field(description="Partition of driftwire.records to which the watermark belongs.")
    watermark: Timestamp | None = Field(default=None, description="Newest accepted event time.")
    wall: Timestamp | None = Field(default=None, description="Wall-clock time, absent in a replay.")
