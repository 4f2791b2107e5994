"""The relearn request: signals of a subject must be learned again. Control input of detect."""

from typing import Literal

from pydantic import Field

from schemas.drift import Direction
from schemas.message import ITEMS_MAX, Message, RecordCount, Version
from schemas.record import Label, SignalValue, Subject
from schemas.timestamp import Timestamp


class AcceptedLevel(Message):
    """The level of a signal that a person accepted as normal: a drift as last published in its incident."""

    signal: Label = Field(description="Name of the signal, as in the signal catalogue.")
    segment: Label = Field(default="", description="Segment as dimension=value, or empty for the full subject.")
    channel: Label = Field(description="Property of the signal that drifted, such as rate or location.")
    side: Direction = Field(description="Direction in which the signal moved.")
    normal: SignalValue = Field(description="Mean (rate) or median (value) of the baseline.")
    now: SignalValue = Field(description="Value of the same statistic that was accepted.")
    records: RecordCount = Field(description="Records since started_at that carry the signal.")
    started_at: Timestamp = Field(description="Estimated time at which the signal left its baseline.")


class Relearn(Message):
    """Learn signals of a subject again, because a person accepted the new normal or a deployment declared the shift.

    Until the signals are learned, those in ``accepted`` are tested against the accepted level, and all others are not
    monitored. If the subject's baseline was learned after ``at``, the request has no effect.
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
    accepted: list[AcceptedLevel] = Field(
        default_factory=list,
        max_length=ITEMS_MAX,
        description="Levels that a person accepted. A further move of these signals is a drift before they are learned.",
    )
    reason: Literal["accepted", "expected_shift"] = Field(
        description="Whether a person accepted the new normal, or a deployment declared the shift."
    )
    requested_by: Label | None = Field(
        default=None, description="Person named by the client, or id of the deployment that declared the shift."
    )
