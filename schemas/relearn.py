"""The relearn request: signals of a subject must be learned again. Control input of detect."""

from typing import Literal

from pydantic import Field

from schemas.message import ITEMS_MAX, Message
from schemas.record import Label, Subject
from schemas.timestamp import Timestamp


class Relearn(Message):
    """Learn signals of a subject again, because a person accepted the new normal or a deployment declared the shift.

    The signals are not monitored until they are learned. If the subject's baseline was learned after ``at``, the
    request has no effect.
    """

    type: Literal["relearn"] = "relearn"
    version: Literal[1] = 1
    relearn_id: Label = Field(min_length=1)
    subject: Subject
    at: Timestamp = Field(description="Event time from which the new normal applies.")
    signals: list[Label] = Field(
        default_factory=list,
        max_length=ITEMS_MAX,
        description="Signals to learn again. If empty, all signals are learned again.",
    )
    reason: Literal["accepted", "expected_shift"]
    requested_by: Label | None = Field(
        default=None, description="Person named by the client, or id of the deployment that declared the shift."
    )
