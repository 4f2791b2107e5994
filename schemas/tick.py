"""Tick: the watermark of a partition of ``driftwire.records``. Ticks are the only clock of correlate."""

from typing import Literal

from pydantic import Field

from schemas.message import Integer, Message
from schemas.timestamp import Timestamp


class Tick(Message):
    """Watermark of a partition. Outside a replay, it also has the wall-clock time."""

    type: Literal["tick"] = "tick"
    version: Literal[1] = 1
    partition: Integer
    watermark: Timestamp | None = Field(default=None, description="Newest accepted event time.")
    wall: Timestamp | None = Field(default=None, description="Wall-clock time, absent in a replay.")
