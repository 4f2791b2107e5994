"""The baseline: the normal values of each signal of a subject, learned live or from a file. Control input of detect."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.message import ITEMS_MAX, Message, Natural, RecordCount, Version
from schemas.record import Amount, Label, Number, Ratio, Sampled, Seconds, SignalValue, Subject
from schemas.timestamp import Timestamp
from schemas.unit import Unit

TRAFFIC_HOURS_MAX = 28 * 24
"""Maximum number of hours whose requests are stored."""

PARTITION_SOURCES = ("renewed", "provisional")
"""Sources of a baseline that only the partition uses that has built it."""

SignalKind = Literal["rate", "amount", "ratio", "age", "category"]


class Profile(Message):
    """Daily profile of a value by UTC hour. Values are corrected to the day's typical level before they are ranked."""

    transform: Literal["log", "none"] = Field(
        description="How hours are compared: by ratio (log) or by difference (none)."
    )
    medians: list[SignalValue] = Field(
        min_length=24, max_length=24, description="Median per UTC hour, in the signal's unit."
    )


class Channel(Message):
    """Monitored number between 0 and 1 per record: a rate itself, the rank or tail of a value, or whether an age is overdue."""

    mean: Number = Field(description="Mean of the channel.")
    variance: Number = Field(description="Variance of the channel between records.")
    autocorrelation_time: Annotated[float, Field(ge=1), Unit("{records}")] = Field(
        description="Number of records that carry as much information as one independent record."
    )
    slice_deviation: Annotated[Number, Field(ge=0)] = Field(
        description="Robust standard deviation of the slice means, excluding noise."
    )
    half_difference: Number = Field(
        default=0, description="Mean of the second half minus mean of the first half, in standard errors."
    )
    count: RecordCount = Field(
        default=0,
        description="Number of records from which the mean was computed. A channel without records is not monitored.",
    )
    moving: bool = Field(
        default=False,
        description="Whether the channel was still moving while it was learned. If so, it is not monitored.",
    )


class AgeCycles(Message):
    """How old an age became before it was reset. An age grows until whatever it measures is renewed."""

    longest: SignalValue = Field(description="Longest age, in the signal's unit.")
    resets: RecordCount = Field(
        description="Number of resets: times at which everything that the age measures had been renewed. Without a "
        "reset, the age has only grown, and its longest value is not known."
    )
    mean: SignalValue | None = Field(
        default=None, description="Mean of the longest ages before each reset. Absent without a reset."
    )
    deviation: SignalValue | None = Field(
        default=None,
        description="Standard deviation of the longest ages before each reset. Absent with fewer than two resets.",
    )


SHAPE_BINS = 8
"""Number of bins of a shape."""


class ValueShape(Message):
    """Shape of a value's distribution: its shares in eight bins of ranks, which end at 2, 10, 30, 50, 70, 90, 98 and 100 %.

    If the value is a whole number, the bins have other shares than their widths.
    """

    shares: list[Ratio] = Field(
        min_length=SHAPE_BINS, max_length=SHAPE_BINS, description="Share of the records in each bin."
    )
    autocorrelation_times: list[Annotated[float, Field(ge=1), Unit("{records}")]] = Field(
        min_length=SHAPE_BINS,
        max_length=SHAPE_BINS,
        description="For each bin, the number of records that carry as much information as one independent record.",
    )
    slice_deviations: list[Annotated[Number, Field(ge=0)]] = Field(
        min_length=SHAPE_BINS,
        max_length=SHAPE_BINS,
        description="Robust standard deviation of the share of each bin between slices, excluding noise.",
    )


class SignalBaseline(Message):
    """Baseline of one signal."""

    kind: SignalKind = Field(description="Kind of the signal, which determines its channels.")
    count: RecordCount = Field(description="Records that carried the signal.")
    mean: SignalValue | None = Field(default=None, description="Mean of the signal, in its unit.")
    knots: list[SignalValue] | None = Field(
        default=None, max_length=ITEMS_MAX, description="513 quantiles of a value, at 0, 1/512, ..., 1."
    )
    channels: dict[Label, Channel] = Field(
        default_factory=dict, max_length=ITEMS_MAX, description="Monitored numbers of the signal, by channel."
    )
    profile: Profile | None = Field(
        default=None, description="Daily profile of a value, if it helps. At least three days are required."
    )
    shares: dict[Label, Number] | None = Field(
        default=None, max_length=ITEMS_MAX, description="Share of each label of a category."
    )
    ages: AgeCycles | None = Field(
        default=None, description="Longest age and resets of an age. A baseline of an earlier version has none."
    )
    shape: ValueShape | None = Field(
        default=None, description="Shape of a value's distribution. A baseline of an earlier version has none."
    )
    learned_from: Timestamp | None = Field(
        default=None,
        description="Start of learning if the signal was relearned. If absent, it is the start of the baseline.",
    )
    learned_to: Timestamp | None = Field(default=None, description="End of learning if the signal was relearned.")


class TrafficGap(Message):
    """Consecutive minutes without a record: the longest that began in an hour."""

    after_s: Annotated[Natural, Unit("s")] = Field(
        description="Start of the last minute with a record, in seconds after hours_from."
    )
    length_s: Annotated[Natural, Unit("s")] = Field(description="Seconds of the minutes without a record.")
    paged: bool = Field(
        default=False, description="Whether it paged as a silence. It is normal only once another one began then."
    )


class Traffic(Message):
    """Requests of a subject per minute, learned from at least a day."""

    requests_per_minute: list[Annotated[Amount, Unit("{requests}")]] = Field(
        min_length=24, max_length=24, description="Typical requests per minute in each UTC hour."
    )
    dispersion: Annotated[float, Field(ge=1), Unit("1")] = Field(
        description="Variance of the requests over minutes to half an hour, relative to that of independent requests."
    )
    hours_from: Timestamp | None = Field(
        default=None,
        description="Start of the first hour of hourly_requests. If absent, neither weekends nor pauses are known.",
    )
    hourly_requests: list[Annotated[Amount, Unit("{requests}")] | None] = Field(
        default_factory=list,
        max_length=TRAFFIC_HOURS_MAX,
        description="Requests of each hour of up to 28 days, null where they are not known.",
    )
    gaps: list[TrafficGap] = Field(
        default_factory=list, max_length=TRAFFIC_HOURS_MAX, description="Gaps in these hours, in order."
    )


class Baseline(Message):
    """Baseline of a subject.

    ``baseline_version`` is a hash of the content, so equal baselines have equal versions everywhere.
    """

    version: Version = 1
    subject: Subject = Field(description="Subject whose normal values these are.")
    baseline_version: Label = Field(description="Hash of the content.")
    source: Literal["file", "live", "accepted", "renewed", "provisional"] = Field(
        description="Whether it was learned from a file, live, again after a person accepted the new normal, or renewed "
        "from the days since then. A provisional baseline has the accepted levels until they are learned."
    )
    learned_from: Timestamp = Field(description="Start of the records that it was learned from.")
    learned_to: Timestamp = Field(description="End of the records that it was learned from.")
    records: RecordCount = Field(description="Number of records that it was learned from.")
    longest_gap_s: Seconds = Field(default=0, description="Longest time without a record.")
    quietest_per_s: Annotated[Amount, Unit("{records}/s")] = Field(
        default=0, description="Records per second in the quietest slice. 0 if not known."
    )
    effective_at: Timestamp | None = Field(
        default=None, description="Event time from which the baseline applies. If absent, it applies immediately."
    )
    signals: dict[Label, SignalBaseline] = Field(
        max_length=ITEMS_MAX, description="Baseline of each signal, by its name."
    )
    centroid: list[Number] | None = Field(
        default=None, max_length=ITEMS_MAX, description="Mean direction of the embeddings, a unit vector."
    )
    expected_fields: list[Label] = Field(
        default_factory=list,
        max_length=ITEMS_MAX,
        description="Fields that at least 99 % of the requests without an error carried in each hour of the day. A "
        "drift reports their absence.",
    )
    traffic: Traffic | None = Field(
        default=None,
        description="Requests per minute. If absent, the baseline covers less than a day, and a loss of requests is not "
        "found.",
    )
    sampled: Sampled | None = Field(
        default=None,
        description="Whether records from which it was learned were sampled by outcome (tail). Signals that depend on "
        "the outcome are then not monitored.",
    )
    accepted_levels: dict[Label, Annotated[list[SignalValue], Field(max_length=4)]] = Field(
        default_factory=dict,
        max_length=ITEMS_MAX,
        description="What was normal before the first renewal, by signal: the mean of a rate, or the 1 %, 50 % and 99 % "
        "quantiles of a value, and the number of records. Renewals are compared with it, so a slow failure does not become "
        "normal.",
    )
    held_back: list[Label] = Field(
        default_factory=list,
        max_length=ITEMS_MAX,
        description="Signals that a renewal did not change, because they have moved since their baseline was accepted.",
    )
    dropped_slices: list[Timestamp] = Field(
        default_factory=list, max_length=ITEMS_MAX, description="Slices that were excluded as outliers."
    )
