"""The relearn request: signals of a subject must be learned again. Control input of detect."""

from typing import Literal

from pydantic import Field

from schemas.message import ITEMS_MAX, Message, Version
from schemas.record import Label, Subject
from schemas.timestamp import Timestamp


class Relearn(Message):
    """Learn signals of a subject again, because a person accepted the new normal or a deployment declared the shift.

    The signals are not monitored until they are learned. If the subject's baseline was learned after ``at``, the
    request has no effect.
    """

    type: Literal["relearn"] = Field(default="relearn", description="Type of the message, which shares its topic.")
    version: Version = 1
    relearn_id: Label = Field(min_length=1, description="Id of the request.")
    subject: Subject = Field(description="Subject whose signals are learned again.")
    at: Timestamp = Field(description="Event time from which the new normal applies.")
    signals: list[Label] = Field(
        default_factory=list,
        max_length=ITEMS_MAX,
        description="Signals to learn again. If empty, all signals are learned again.",
    )
    reason: Literal["accepted", "expected_shift"] = Field(
        description="Whether a person accepted the new normal, or a deployment declared the shift."
    )
    requested_by: Label | None = Field(
        default=None, description="Person named by the client, or id of the deployment that declared the shift."
    )
