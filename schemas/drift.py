"""The drift: a signal of a subject left its baseline, with the evidence. Detect writes it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.message import Integer, Message, Natural, Text
from schemas.record import Label, Subject
from schemas.timestamp import Timestamp

Layer = Literal["infrastructure", "output", "data", "safety", "custom", "derived"]
Tier = Literal["page", "ticket", "cause"]
Direction = Literal["up", "down"]
DriftState = Literal["firing", "evidence", "recovered"]
Detector = Literal["page_hinkley", "adwin", "first_seen", "silence"]

MINUTE_MS = 60_000
"""Milliseconds per position of a series."""

MINUTES_MAX = 31
"""Maximum number of minutes in a series: half an hour and the current minute."""

SERIES_MAX = 16
"""Maximum number of series in a drift."""


class Series(Message):
    """A drift's channel per minute, over all records or over the records of one version."""

    version: Label = Field(default="", description="kind=version, or empty for all records of the subject.")
    begins_at: Timestamp = Field(description="Start of the first minute.")
    records: list[Natural] = Field(
        max_length=MINUTES_MAX,
        description="Records per minute that carry the signal. Where it is 0, ignore the other numbers.",
    )
    means: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        max_length=MINUTES_MAX,
        description="Mean of the channel per minute: a share (rate) or a mean rank in the baseline (value).",
    )
    values: list[float] = Field(
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

    type: Literal["drift"] = "drift"
    version: Literal[1] = 1
    drift_id: Label
    sequence: Integer = 0
    state: DriftState
    subject: Subject
    partition: Integer
    segment: Label = Field(default="", description="dimension=value, or empty for the full subject.")
    environment: Label | None = None
    provider: Label | None = None
    signal: Label
    layer: Layer
    unit: Label = ""
    failure_mode: Label = Field(default="unknown", description="Failure mode of the signal in the catalogue.")
    channel: Label = Field(description="rate, location, high_tail, low_tail, dispersion, silence or first_seen.")
    side: Direction
    tier: Tier
    detector: Detector
    baseline_version: Label
    started_at: Timestamp = Field(description="Estimated time at which the signal left its baseline.")
    detected_at: Timestamp = Field(description="Event time of the record that fired.")
    updated_at: Timestamp = Field(description="Event time of this state.")
    request_id: Label | None = Field(default=None, description="Record that fired.")
    normal: float = Field(description="Mean (rate) or median (value) of the baseline, in the signal's unit.")
    now: float = Field(
        description="Current value of the same statistic. The first message covers the time since started_at, and "
        "later messages cover the time since the previous message. In the signal's unit."
    )
    effect: float = Field(
        description="Odds ratio (rate, tail), rank shift from -1 to 1 (value), or ratio (event). See effect_kind."
    )
    effect_kind: Literal["odds_ratio", "rank_shift", "ratio"]
    records: Integer = Field(description="Records since started_at that carry the signal.")
    evidence: float = Field(description="Log evidence against the baseline's band. Compare with threshold.")
    threshold: float
    sentence: Text = Field(description="The finding as a sentence for people.")
    fault: Label = Field(
        default="",
        description="Why the values of a field cannot be used, such as is_text or absent. Empty for other signals.",
    )
    demote: bool = Field(
        default=False, description="Whether the test pages often. If so, a ticket and a new baseline are proposed."
    )
    traffic_share: float = Field(
        default=1.0,
        ge=0,
        le=1,
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
