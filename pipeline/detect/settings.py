"""Settings of the detect step: baseline readiness, tolerances, false-alarm budget, limits."""

import hashlib
import json
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline.detect.signal_rule import SignalRule
from pipeline.time_zone import check_time_zone

HOUR_S = 3600

DAY_S = 24 * HOUR_S
"""Seconds of one daily cycle. A baseline should cover at least one cycle."""


class DetectSettings(BaseModel):
    """Settings of the detect step. All settings have defaults, and an unknown name is an error.

    >>> DetectSettings(ready_after_s=1800).ready_records
    5000
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ready_after_s: float = Field(
        default=DAY_S,
        ge=10,
        le=60 * DAY_S,
        description="Seconds of event time over which a live baseline is learned. Higher values cover more of the "
        "daily cycle and delay the first page. Values below one day are for replays and demos: they disable the floor "
        "for day-to-day variation.",
    )
    relearn_after_s: float = Field(
        default=3600.0,
        ge=10,
        le=60 * DAY_S,
        description="Seconds of event time over which signals are relearned after their new normal was accepted or "
        "declared. Meanwhile, only a further move of an accepted incident is found. Higher values cover more of the "
        "daily cycle.",
    )
    ready_records: int = Field(
        default=5000,
        ge=100,
        le=10_000_000,
        description="Records required before a value signal is monitored. Higher values make its baseline more "
        "reliable.",
    )
    ready_records_rate: int = Field(
        default=1000,
        ge=100,
        le=10_000_000,
        description="Records required before a rate signal is monitored. Higher values make its baseline more "
        "reliable.",
    )
    slices: int = Field(
        default=48,
        ge=8,
        le=480,
        description="Number of time slices into which ready_after_s is divided to compare their means. Higher values "
        "show faster cycles.",
    )

    false_pages_per_year: float = Field(
        default=1.0,
        gt=0,
        le=1000,
        description="Maximum false pages per year, over all fleet_subjects. Higher values page earlier.",
    )
    false_tickets_per_week: float = Field(
        default=2.0,
        gt=0,
        le=1000,
        description="Maximum false tickets per week, over all fleet_subjects. Higher values raise tickets earlier.",
    )
    fleet_subjects: int = Field(
        default=10,
        ge=1,
        le=100_000,
        description="Number of subjects that share the false pages and tickets. Higher values delay each page "
        "slightly.",
    )
    page_rate_odds: float = Field(
        default=1.5,
        gt=1,
        le=100,
        description="Smallest odds ratio of a rate that pages. Higher values page less often.",
    )
    page_tail_odds: float = Field(
        default=2.0,
        gt=1,
        le=100,
        description="Smallest odds ratio of a value's tail that pages. Higher values page less often.",
    )
    page_rank_shift: float = Field(
        default=0.08,
        gt=0,
        le=0.5,
        description="Smallest shift of a value's mean rank (0 to 1) that pages. Higher values page less often.",
    )
    ticket_rate_odds: float = Field(
        default=1.25,
        gt=1,
        le=100,
        description="Smallest odds ratio of a rate or tail that raises a ticket. Higher values raise fewer tickets.",
    )
    ticket_rank_shift: float = Field(
        default=0.03,
        gt=0,
        le=0.5,
        description="Smallest shift of a value's mean rank that raises a ticket. Higher values raise fewer tickets.",
    )
    band_odds_max: float = Field(
        default=4.0,
        gt=1,
        le=1000,
        description="Widest band of a rate or tail that is still monitored, as an odds ratio. Higher values monitor "
        "more signals.",
    )
    band_rank_max: float = Field(
        default=0.25,
        gt=0,
        le=0.5,
        description="Widest band of a value that is still monitored, as a shift of its mean rank. Higher values "
        "monitor more signals.",
    )
    silence_min_s: float = Field(
        default=120.0,
        gt=0,
        le=7 * DAY_S,
        description="Minimum seconds without a record before a subject counts as silent. How much longer it may be "
        "depends on the requests that are typical since the last record, and on the gaps in the subject's baseline. "
        "Higher values report silence later.",
    )
    recovery_evidence: float = Field(
        default=8.0,
        gt=1,
        le=100,
        description="Log evidence required for a recovery. Higher values make recoveries later and more reliable.",
    )
    evidence_after_s: tuple[float, ...] = Field(
        default=(10.0, 60.0, 600.0, 3600.0),
        max_length=16,
        description="Times after a drift fires at which its evidence is published again, in seconds of event time.",
    )

    signals: tuple[SignalRule, ...] = Field(
        default=(),
        max_length=200,
        description="Rules for signals: bad direction, highest tier, failure mode, unit, smallest change that matters, and limits.",
    )
    segments: tuple[str, ...] = Field(
        default=("model", "prompt", "index", "region", "tenant"),
        max_length=8,
        description="Dimensions that are also monitored value by value: names in the record's segment or versions, or "
        "provider.",
    )
    segment_values_max: int = Field(
        default=32,
        ge=2,
        le=1024,
        description="Maximum values monitored per dimension. Further values count as 'other' and are not monitored.",
    )
    segment_settle_records: int = Field(
        default=1000,
        ge=0,
        le=1_000_000,
        description=(
            "Number of records of a signal during which a deviation of a new region or tenant can count as its own "
            "normal level. New versions have no such period."
        ),
    )

    adwin_delta: float = Field(
        default=1e-5,
        gt=0,
        lt=1,
        description="Significance level of ADWIN. Higher values raise more tickets, including more false ones.",
    )
    adwin_records: int = Field(
        default=50,
        ge=10,
        le=10_000,
        description="Number of records per mean that ADWIN receives. Higher values detect only slower drift.",
    )

    block_records: int = Field(
        default=512,
        ge=64,
        le=8192,
        description="Number of buffered records of a stream that form a block. Higher values process records faster.",
    )
    flush_records: int = Field(
        default=64,
        ge=1,
        le=8192,
        description="Minimum records before a block may end at a second boundary. Higher values make larger blocks.",
    )
    flush_after_s: int = Field(
        default=4,
        ge=1,
        le=600,
        description="Seconds after which a block ends, even if it has few records. Higher values make larger blocks.",
    )

    subjects_max: int = Field(
        default=10_000,
        ge=1,
        le=100_000,
        description="Maximum subjects per partition. A new subject replaces one without a baseline that sent nothing for "
        "a week. Records of further subjects are dead-lettered. Higher values need more memory.",
    )
    custom_signals_max: int = Field(
        default=16,
        ge=0,
        le=256,
        description="Maximum custom signals per subject. Further custom signals are ignored and counted.",
    )
    categories_max: int = Field(
        default=64,
        ge=2,
        le=4096,
        description="Maximum number of labels of a category that are counted by name. Further labels count as 'other'.",
    )
    versions_max: int = Field(
        default=64,
        ge=2,
        le=4096,
        description="Maximum versions of a kind that a subject had within a day. With more, first uses of that kind are "
        "no longer reported.",
    )
    duplicate_window: int = Field(
        default=4096,
        ge=0,
        le=1_000_000,
        description="Number of latest records of a stream that are searched for duplicates. Higher values need more "
        "memory.",
    )
    outcome_window: int = Field(
        default=32_768,
        ge=0,
        le=1_000_000,
        description="Number of latest requests of a stream whose versions a late outcome can take. Higher values need "
        "more memory and larger checkpoints.",
    )
    record_bytes_max: int = Field(
        default=1024 * 1024,
        ge=1024,
        le=8 * 1024 * 1024,
        description="Maximum bytes of a message. Larger messages are dead-lettered.",
    )
    time_zone: str = Field(
        default="",
        max_length=100,
        description="Time zone for record times without an offset from UTC, as a name in the IANA time zone database, "
        "such as Australia/Sydney. If empty, these records become dead letters.",
    )
    late_max_s: float = Field(
        default=7 * DAY_S,
        gt=0,
        description="Maximum seconds by which a record's time may precede its arrival or, in a replay, the watermark.",
    )
    early_max_s: float = Field(
        default=300, ge=0, description="Maximum seconds by which a live record's time may follow its arrival."
    )
    time_jump_max_s: float = Field(
        default=3600,
        gt=0,
        description="Maximum seconds by which a record may lie ahead of the watermark in a replay. Higher values admit "
        "more records at once.",
    )
    time_jump_records: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="Number of consecutive records that confirm a longer time jump in a replay. Higher values are "
        "more reliable.",
    )

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return name and check_time_zone(name)

    def readiness(self, ready_after_s: float | None, ready_records: int | None) -> dict[str, float]:
        """Return the fields to update for another readiness. None leaves a setting unchanged.

        A rate never needs more records than a value.

        >>> DetectSettings().readiness(None, 500)
        {'ready_records': 500, 'ready_records_rate': 500}
        """
        updates: dict[str, float] = {} if ready_after_s is None else {"ready_after_s": ready_after_s}
        if ready_records is not None:
            updates |= {
                "ready_records": ready_records,
                "ready_records_rate": min(ready_records, self.ready_records_rate),
            }
        return updates

    def digest(self) -> str:
        """Return a short hash of all settings. Reports use it to distinguish results from different settings.

        >>> DetectSettings().digest() == DetectSettings(slices=96).digest()
        False
        """
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:12]


def count_updates_due(elapsed_ms: int, after_s: Iterable[float]) -> int:
    """Return how many updates of a drift are due, from the milliseconds since it fired and ``evidence_after_s``.

    >>> count_updates_due(61_000, (10.0, 60.0, 600.0))
    2
    """
    return sum(elapsed_ms / 1000 >= seconds for seconds in after_s)
