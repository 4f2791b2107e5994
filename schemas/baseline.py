"""The baseline: what is normal for a subject, signal by signal. Learned live or from a file; detect's control input."""

from typing import Literal

from pydantic import Field

from schemas.message import Message
from schemas.record import Label, Subject
from schemas.timestamp import Timestamp

SignalKind = Literal["rate", "amount", "ratio", "age", "category"]


class Profile(Message):
    """What is typical of a value by hour of the day, UTC: values are ranked as if all came at the day's typical level."""

    transform: Literal["log", "none"] = Field(description="whether hours are compared by ratio or by difference")
    medians: list[float] = Field(min_length=24, max_length=24, description="by hour, in the signal's own unit")


class Channel(Message):
    """One number a record, between 0 and 1, that a detector watches: a rate itself, or a value's rank or tail."""

    mean: float
    variance: float
    autocorrelation_time: float = Field(ge=1, description="records that carry as much news as one independent record")
    slice_deviation: float = Field(ge=0, description="robust standard deviation of the means of slices, noise removed")
    half_difference: float = Field(default=0, description="second half's mean less the first's, in standard errors")
    count: int = Field(default=0, ge=0, description="records behind the mean; without any the channel is not judged")
    moving: bool = Field(default=False, description="whether it was still moving when learned; then it is not judged")


class SignalBaseline(Message):
    """What is normal for one signal."""

    kind: SignalKind
    count: int = Field(ge=0, description="records that carried the signal")
    mean: float | None = Field(default=None, description="of the signal itself, in its own unit")
    knots: list[float] | None = Field(default=None, description="513 quantiles at 0, 1/512, ..., 1 of a value")
    channels: dict[Label, Channel] = Field(default_factory=dict)
    profile: Profile | None = Field(default=None, description="of a value from three days on, where it helps")
    shares: dict[Label, float] | None = Field(default=None, description="a category's mix")
    learned_from: Timestamp | None = Field(default=None, description="if learned anew: when; absent: as the whole")
    learned_to: Timestamp | None = None


class Baseline(Message):
    """What is normal for a subject.

    ``baseline_version`` is a hash of the content, so equal baselines have equal versions everywhere.
    """

    version: Literal[1] = 1
    subject: Subject
    baseline_version: Label
    source: Literal["file", "live", "accepted"]
    learned_from: Timestamp
    learned_to: Timestamp
    records: int = Field(ge=0)
    longest_gap_s: float = Field(default=0, ge=0, description="seconds: the longest time without a record")
    quietest_per_s: float = Field(default=0, ge=0, description="records a second in the quietest slice; 0: not known")
    effective_at: Timestamp | None = Field(default=None, description="event time it applies from; absent: at once")
    signals: dict[Label, SignalBaseline]
    centroid: list[float] | None = Field(default=None, description="the mean direction of embeddings, of length 1")
    dropped_slices: list[Timestamp] = Field(default_factory=list, description="slices left out as outliers")
