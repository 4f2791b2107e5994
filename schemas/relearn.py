"""The relearn: what used to be news of a subject is to be its normal from now on. Detect's other control input."""

from typing import Literal

from pydantic import Field

from schemas.message import Message
from schemas.record import Label, Subject
from schemas.timestamp import Timestamp


class Relearn(Message):
    """Learn signals of a subject anew, because a person accepted the new normal or a deployment declared the shift.

    Until they are learned, the signals are not judged. A subject whose baseline was learned after ``at`` has done so.
    """

    type: Literal["relearn"] = "relearn"
    version: Literal[1] = 1
    relearn_id: Label = Field(min_length=1)
    subject: Subject
    at: Timestamp = Field(description="event time from which the new normal holds")
    signals: list[Label] = Field(default_factory=list, description="which; empty: all")
    reason: Literal["accepted", "expected_shift"]
    requested_by: Label | None = Field(default=None, description="a person, or the deployment_id that declared it")
