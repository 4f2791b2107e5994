"""What can be set of detect: when a baseline is ready, how wide its bands are, how often it may cry wolf, every limit."""

import hashlib
import json

from pydantic import BaseModel, ConfigDict, Field

DAY_S = 86_400
"""Seconds of one daily cycle, the least that a baseline should have seen."""

_NOT_OF_STATE = frozenset(
    {
        "subjects_max",
        "record_bytes_max",
        "late_max_s",
        "early_max_s",
        "time_jump_max_s",
        "time_jump_records",
    }
)
"""Fields that may change without making kept state unfit: they only say what is let in."""


class DetectSettings(BaseModel):
    """The settings of detect, all with defaults; an unknown name is an error.

    >>> DetectSettings(ready_after_s=1800).ready_records
    5000
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ready_after_s: float = Field(
        default=DAY_S,
        ge=10,
        le=60 * DAY_S,
        description="seconds of event time a live baseline is learned over; longer sees more of the daily cycle, and "
        "pages later. Less than a day is for replays and demos: the floor for day-to-day spread is then left out",
    )
    relearn_after_s: float = Field(
        default=3600.0,
        ge=10,
        le=60 * DAY_S,
        description="seconds of event time over which signals are learned anew once their new normal was accepted or "
        "declared; they are not judged meanwhile. Longer sees more of the daily cycle",
    )
    ready_records: int = Field(
        default=5000, ge=100, le=10_000_000, description="records a value needs before it is judged; more is surer"
    )
    ready_records_rate: int = Field(
        default=1000, ge=100, le=10_000_000, description="records a rate needs before it is judged; more is surer"
    )
    slices: int = Field(
        default=48, ge=8, le=480, description="parts of ready_after_s whose means are compared; more see faster cycles"
    )

    false_pages_per_year: float = Field(
        default=1.0,
        gt=0,
        le=1000,
        description="false pages a year at most, over all fleet_subjects; more makes pages come earlier",
    )
    false_tickets_per_week: float = Field(
        default=2.0,
        gt=0,
        le=1000,
        description="false tickets a week at most, over all fleet_subjects; more makes them come earlier",
    )
    fleet_subjects: int = Field(
        default=10,
        ge=1,
        le=100_000,
        description="subjects that share the false pages and tickets; more makes each page a little later",
    )
    page_rate_odds: float = Field(
        default=1.5, gt=1, le=100, description="odds ratio of a rate that no page is for; more pages less"
    )
    page_tail_odds: float = Field(
        default=2.0, gt=1, le=100, description="odds ratio of a value's tail that no page is for; more pages less"
    )
    page_rank_shift: float = Field(
        default=0.08,
        gt=0,
        le=0.5,
        description="shift of a value's mean rank (0 to 1) that no page is for; more pages less",
    )
    ticket_rate_odds: float = Field(
        default=1.25, gt=1, le=100, description="odds ratio of a rate or tail that no ticket is for; more tickets less"
    )
    ticket_rank_shift: float = Field(
        default=0.03, gt=0, le=0.5, description="shift of a value's mean rank that no ticket is for; more tickets less"
    )
    band_odds_max: float = Field(
        default=4.0, gt=1, le=1000, description="odds ratio; a rate or tail whose band is wider is not judged"
    )
    band_rank_max: float = Field(
        default=0.25, gt=0, le=0.5, description="shift of mean rank; a value whose band is wider is not judged"
    )
    silence_min_s: float = Field(
        default=120.0,
        gt=0,
        le=7 * DAY_S,
        description="seconds without a record, at the least, from which a subject is silent; it also takes three times "
        "the longest gap of its baseline",
    )
    recovery_evidence: float = Field(
        default=8.0, gt=1, le=100, description="log evidence to call a signal recovered; more recovers later and surer"
    )
    evidence_after_s: tuple[float, ...] = Field(
        default=(10.0, 60.0, 600.0, 3600.0),
        max_length=16,
        description="seconds of event time after a drift fired at which its evidence is sent again",
    )

    segments: tuple[str, ...] = Field(
        default=("model", "prompt", "index", "region", "tenant"),
        max_length=8,
        description="what records are also judged by, value by value: names in their segment, their versions, or provider",
    )
    segment_values_max: int = Field(
        default=32,
        ge=2,
        le=1024,
        description="values of one segment that are judged; further ones are 'other', and not",
    )
    segment_settle_records: int = Field(
        default=1000,
        ge=0,
        le=1_000_000,
        description="records of a signal in which a new region or tenant may show that its own normal differs; a version may not",
    )

    adwin_delta: float = Field(
        default=1e-5, gt=0, lt=1, description="ADWIN's significance on pane means; smaller finds less, and surer"
    )
    adwin_records: int = Field(
        default=50, ge=10, le=10_000, description="records of one mean given to ADWIN; more sees slower drift only"
    )

    block_records: int = Field(
        default=512, ge=64, le=8192, description="records of a unit at which its buffer becomes a block; more is faster"
    )
    flush_records: int = Field(
        default=64, ge=1, le=8192, description="records from which the end of a second ends a block; more joins longer"
    )
    flush_after_s: int = Field(
        default=4,
        ge=1,
        le=600,
        description="seconds after which a block ends, however few its records; more joins longer",
    )

    subjects_max: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="subjects of one partition; records of further ones are dead letters",
    )
    custom_signals_max: int = Field(
        default=16, ge=0, le=256, description="signals of a subject's own; further ones are ignored and counted"
    )
    categories_max: int = Field(
        default=64,
        ge=2,
        le=4096,
        description="labels of one category that are counted by name; further ones are 'other'",
    )
    duplicate_window: int = Field(
        default=4096,
        ge=0,
        le=1_000_000,
        description="records of a unit among which a duplicate is found; more needs memory",
    )
    record_bytes_max: int = Field(
        default=1024 * 1024,
        ge=1024,
        le=8 * 1024 * 1024,
        description="bytes of a message; a larger one is a dead letter",
    )
    late_max_s: float = Field(
        default=7 * DAY_S, gt=0, description="seconds that a record's time may lie before its arrival, live"
    )
    early_max_s: float = Field(
        default=300, ge=0, description="seconds that a record's time may lie after its arrival, live"
    )
    time_jump_max_s: float = Field(
        default=3600, gt=0, description="seconds that a record may lie ahead of the watermark, in a replay"
    )
    time_jump_records: int = Field(
        default=20, ge=1, le=10_000, description="records in a row that make a longer jump believable, in a replay"
    )

    def readiness(self, ready_after_s: float | None, ready_records: int | None) -> dict[str, float]:
        """The fields that name another readiness, of what is not None; a rate never needs more records than a value.

        >>> DetectSettings().readiness(None, 500)
        {'ready_records': 500, 'ready_records_rate': 500}
        """
        asked: dict[str, float] = {} if ready_after_s is None else {"ready_after_s": ready_after_s}
        if ready_records is not None:
            asked |= {
                "ready_records": ready_records,
                "ready_records_rate": min(ready_records, self.ready_records_rate),
            }
        return asked

    def digest(self) -> str:
        """A short hash of the fields that change what kept state means: state of another digest is set aside.

        >>> DetectSettings().digest() == DetectSettings(subjects_max=7).digest()
        True
        >>> DetectSettings().digest() == DetectSettings(slices=96).digest()
        False
        """
        fields = self.model_dump(mode="json", exclude=set(_NOT_OF_STATE))
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]
