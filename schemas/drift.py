"""The drift: a signal of a subject left its baseline, with the evidence. Detect writes it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.message import Integer, Message, Position, RecordCount, Text, Version
from schemas.record import Label, Number, Ratio, SignalValue, Subject
from schemas.timestamp import Timestamp
from schemas.unit import Unit

Layer = Literal["infrastructure", "output", "data", "safety", "custom", "derived"]
Tier = Literal["page", "ticket", "cause"]
Direction = Literal["up", "down"]
DriftState = Literal["firing", "evidence", "recovered"]
Detector = Literal["page_hinkley", "adwin", "first_seen", "silence", "limit"]

MINUTE_MS = 60_000
"""Milliseconds per position of a series."""

MINUTES_MAX = 31
"""Maximum number of minutes in a series: half an hour and the current minute."""

SERIES_MAX = 16
"""Maximum number of series in a drift."""


class Series(Message):
    """A drift's channel per minute, over all records or over the records of one version."""

    version: Label = Field(
        default="", description="The version as kind=version, or empty for all records of the subject."
    )
    begins_at: Timestamp = Field(description="Start of the first minute.")
    records: list[RecordCount] = Field(
        max_length=MINUTES_MAX,
        description="Records per minute that carry the signal. Where it is 0, ignore the other numbers.",
    )
    means: list[Ratio] = Field(
        max_length=MINUTES_MAX,
        description="Mean of the channel per minute: a share (rate) or a mean rank in the baseline (value).",
    )
    values: list[SignalValue] = Field(
        default_factory=list,
        max_length=MINUTES_MAX,
        description="Typical value per minute, in the signal's unit. Empty for a rate: see means.",
    )

    @model_validator(mode="after")
    def _check_lengths(self) -> "Series":
        if len(self.means) != len(self.records) or (self.values and len(self.values) != len(self.records)):
            raise ValueError("a series needs one mean per minute, and either one value per minute or none")
        return self


class Drift(Message):
    """A signal that left its baseline (``firing``), is still outside it (``evidence``), or returned (``recovered``).

    All messages of one drift share its ``drift_id``. ``sequence`` counts them from 0.
    """

    type: Literal["drift"] = Field(default="drift", description="Type of the message, which shares its topic.")
    version: Version = 1
    drift_id: Label = Field(description="Id of the drift, which all its messages share.")
    sequence: Position = Field(default=0, description="Number of the message within the drift, from 0.")
    state: DriftState = Field(description="Whether the signal left its baseline, is still outside it, or has returned.")
    subject: Subject = Field(description="Subject whose signal drifted.")
    partition: Position = Field(description="Partition of driftwire.records in which the drift was found.")
    segment: Label = Field(default="", description="Segment as dimension=value, or empty for the full subject.")
    environment: Label | None = Field(default=None, description="Environment of the latest records of the subject.")
    provider: Label | None = Field(default=None, description="Provider of the latest records of the subject.")
    signal: Label = Field(description="Name of the signal, as in the signal catalogue.")
    layer: Layer = Field(description="Layer of the system to which the signal belongs.")
    unit: Label = Field(default="", description="Unit of the signal, or empty if it has none.")
    failure_mode: Label = Field(default="unknown", description="Failure mode of the signal in the catalogue.")
    channel: Label = Field(
        description="Property that drifted: rate, location, high_tail, low_tail, dispersion, shape, overdue, silence, "
        "first_seen, or a fixed limit: limit_rate, limit_mean, or limit_ with a percentile, such as limit_p95."
    )
    side: Direction = Field(description="Direction in which the signal moved.")
    tier: Tier = Field(description="Strongest effect of the drift: a page, a ticket, or only evidence of a cause.")
    detector: Detector = Field(description="Detector that fired.")
    baseline_version: Label = Field(
        description="Version of the baseline with which the signal was compared. Empty for a fixed limit."
    )
    started_at: Timestamp = Field(description="Estimated time at which the signal left its baseline.")
    detected_at: Timestamp = Field(description="Event time of the record that fired.")
    updated_at: Timestamp = Field(description="Event time of this state.")
    request_id: Label | None = Field(default=None, description="Record that fired.")
    normal: SignalValue = Field(
        description="Mean (rate), median (value) or longest age (overdue) of the baseline, in the signal's unit. For "
        "shape, the share of the records whose value is between values_from and values_to. For a fixed limit, the limit."
    )
    now: SignalValue = Field(
        description="Current value of the same statistic. The first message covers the time since started_at, and "
        "later messages cover the time since the previous message. In the signal's unit."
    )
    effect: Number = Field(
        description="Odds ratio (rate, tail, shape), rank shift from -1 to 1 (value), or ratio (event, overdue, fixed "
        "limit). See effect_kind."
    )
    effect_kind: Literal["odds_ratio", "rank_shift", "ratio"] = Field(description="Measure of the effect.")
    records: Annotated[Integer, Unit("{records}")] = Field(
        description="Records since started_at that carry the signal."
    )
    values_from: SignalValue | None = Field(
        default=None,
        description="Only for shape: lower end of the values whose share changed, in the signal's unit. If absent, they "
        "have no lower end.",
    )
    values_to: SignalValue | None = Field(
        default=None,
        description="Only for shape: upper end of the values whose share changed, in the signal's unit. If absent, they "
        "have no upper end.",
    )
    evidence: Number = Field(description="Log evidence against the baseline's band. Compare with threshold.")
    threshold: Number = Field(description="Log evidence at which the detector fires.")
    sentence: Text = Field(description="The finding as a sentence for people.")
    fault: Label = Field(
        default="",
        description="Why the values of a field cannot be used, such as is_text or absent. Empty for other signals.",
    )
    demote: bool = Field(
        default=False, description="Whether the test pages often. If so, a ticket and a new baseline are proposed."
    )
    traffic_share: Ratio = Field(
        default=1.0,
        description="Share of the subject's recent records that are in the segment. It is 1 without a segment.",
    )
    series: list[Series] = Field(
        default_factory=list,
        max_length=SERIES_MAX,
        description="Series from ten minutes before the start, for at most half an hour: one for all records, and "
        "one for each version that served alongside another. The series of a version that served all "
        "records has no numbers.",
    )

    @model_validator(mode="after")
    def _check_series(self) -> "Drift":
        if len({(series.begins_at, len(series.records)) for series in self.series if series.records}) > 1:
            raise ValueError("all series of a drift must cover the same minutes")
        return self
