"""The tick: how far a partition of records has been read. It is the only clock that correlate has."""

from typing import Literal

from pydantic import Field

from schemas.message import Message
from schemas.timestamp import Timestamp


class Tick(Message):
    """A partition's watermark; live, the wall clock beside it."""

    type: Literal["tick"] = "tick"
    version: Literal[1] = 1
    partition: int
    watermark: Timestamp | None = Field(default=None, description="the newest event time accepted")
    wall: Timestamp | None = Field(default=None, description="the wall clock; absent in a replay")
