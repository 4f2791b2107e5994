"""The drift: one signal of one subject that left its baseline, with the evidence. Written by detect."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.message import Message
from schemas.record import Label, Subject
from schemas.timestamp import Timestamp

Layer = Literal["infrastructure", "output", "data", "safety", "custom", "derived"]
Tier = Literal["page", "ticket", "cause"]
Side = Literal["up", "down"]
DriftState = Literal["firing", "evidence", "recovered"]
Detector = Literal["page_hinkley", "adwin", "first_seen", "silence"]


MINUTE_MS = 60_000
"""Milliseconds of one place of a series."""

MINUTES_MAX = 31
"""Minutes that a series has at most: half an hour and the one that is not over."""


SERIES_MAX = 16
"""Series that a drift has at most."""


class Series(Message):
    """One drift's channel minute by minute, of all records or of those that one version served."""

    version: Label = Field(default="", description="kind=version, or empty for all records of the subject")
    begins_at: Timestamp = Field(description="when the first minute begins")
    records: list[Annotated[int, Field(ge=0)]] = Field(
        max_length=MINUTES_MAX,
        description="of each minute: records that carry the signal; where 0, the other numbers mean nothing",
    )
    means: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        max_length=MINUTES_MAX,
        description="of each minute: the channel's mean, a share (a rate) or a mean rank among the baseline (a value)",
    )
    values: list[float] = Field(
        default_factory=list,
        max_length=MINUTES_MAX,
        description="of each minute: what is typical, in the signal's unit; empty for a rate, whose means say it",
    )

    @model_validator(mode="after")
    def _is_of_the_same_minutes(self) -> "Series":
        if len(self.means) != len(self.records) or (self.values and len(self.values) != len(self.records)):
            raise ValueError("a series has one mean, and one value or none, for each of its minutes")
        return self


class Drift(Message):
    """A signal left its baseline (``firing``), is still off (``evidence``), or came back (``recovered``).

    The three states of one drift share its ``drift_id``; ``sequence`` counts them from 0.
    """

    type: Literal["drift"] = "drift"
    version: Literal[1] = 1
    drift_id: Label
    sequence: int = 0
    state: DriftState
    subject: Subject
    partition: int
    segment: Label = Field(default="", description="dimension=value, or empty for the whole subject")
    environment: Label | None = None
    provider: Label | None = None
    signal: Label
    layer: Layer
    unit: Label = ""
    failure_mode: Label = Field(default="unknown", description="what this signal says is failing, by the catalogue")
    channel: Label = Field(description="rate, location, high_tail, low_tail, dispersion")
    side: Side
    tier: Tier
    detector: Detector
    baseline_version: Label
    started_at: Timestamp = Field(description="estimate: when the signal left its baseline")
    detected_at: Timestamp = Field(description="event time of the record that fired")
    updated_at: Timestamp = Field(description="event time of this state")
    request_id: Label | None = Field(default=None, description="the record that fired")
    normal: float = Field(description="the baseline's mean (a rate) or median (a value), in the signal's unit")
    now: float = Field(description="the same since started_at, in the signal's unit")
    effect: float = Field(description="an odds ratio for a rate, a shift of rank (-1 to 1) for a value")
    effect_kind: Literal["odds_ratio", "rank_shift", "ratio"]
    records: int = Field(description="records since started_at that carry the signal")
    evidence: float = Field(description="log evidence against the baseline's band, to compare with threshold")
    threshold: float
    sentence: str = Field(description="the finding in words")
    demote: bool = Field(default=False, description="it pages often: proposed for a ticket and a new baseline")
    traffic_share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="share of the subject's records of late that the segment has; 1 without one",
    )
    series: list[Series] = Field(
        default_factory=list,
        max_length=SERIES_MAX,
        description="from ten minutes before the start, of half an hour at most: all records, each version that served beside another, and, without "
        "numbers, each that served them all",
    )

    @model_validator(mode="after")
    def _series_are_of_the_same_minutes(self) -> "Drift":
        if len({(each.begins_at, len(each.records)) for each in self.series if each.records}) > 1:
            raise ValueError("all series of a drift are of the same minutes")
        return self
