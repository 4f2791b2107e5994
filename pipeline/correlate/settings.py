"""What can be set of correlate: its windows, its limits, severity rules of one's own, and how people respond."""

from collections import Counter
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline.correlate.business import BusinessHours
from pipeline.correlate.duties import known_regimes
from pipeline.correlate.modes import nearest
from pipeline.correlate.move import Move
from pipeline.correlate.response import Response
from pipeline.correlate.rule import Name, Promise, Rule
from schemas.incident import Severity

PublicName = Annotated[str, Field(min_length=1, max_length=100)]


class CorrelateSettings(BaseModel):
    """Windows in seconds of event time, limits in pieces.

    A changed setting applies to what comes; open incidents are kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    join_window_s: float = Field(
        default=600, ge=0, le=86_400,
        description="a drift may join an incident that last changed this long before the drift began; bigger: fewer, "
        "larger incidents",
    )  # fmt: skip
    simultaneous_window_s: float = Field(
        default=120, ge=0, le=3_600,
        description="starts this close count as one moment: failures that can share a cause are one incident, and of "
        "many subjects one parent; bigger: unrelated failures are joined more often",
    )  # fmt: skip
    dedup_window_s: float = Field(
        default=60, ge=0, le=3_600,
        description="the same finding from other partitions or segments within this is one line of evidence",
    )  # fmt: skip
    resolve_after_s: float = Field(
        default=300, ge=0, le=86_400,
        description="an incident is resolved when all its signals have been back for this long; bigger: fewer incidents "
        "that come back, later all-clears",
    )  # fmt: skip
    reopen_window_s: float = Field(
        default=1_800, ge=0, le=604_800,
        description="a signal that is off again this long after its incident resolved opens that again, and no new one",
    )  # fmt: skip
    lookback_s: float = Field(
        default=3_600, ge=0, le=604_800,
        description="a deployment up to this long before the start can be a suspect",
    )  # fmt: skip
    start_error_s: float = Field(
        default=60, ge=0, le=3_600,
        description="how far the estimated start may be off: a deployment within it may be at the start",
    )  # fmt: skip
    parent_subjects: int = Field(
        default=3, ge=2, le=1_000,
        description="incidents of this many subjects of one provider (or, where none is named, one environment) that "
        "began together become one parent incident",
    )  # fmt: skip
    freeze_severities: tuple[Severity, ...] = Field(
        default=("P1", "P2", "P3"), max_length=4,
        description="while an incident of these is open, a deployment that is not its rollback breaks the change freeze",
    )  # fmt: skip
    worsening_factor: float = Field(
        default=2.0, ge=1.1, le=100,
        description="a signal that moves this many times as far from normal as last told is told again",
    )  # fmt: skip
    suspect_score_min: float = Field(
        default=0.05, ge=0, le=1, description="a suspect below this score is not plausible and is left out"
    )
    runbooks: str = Field(
        default="docs/runbooks/", max_length=300,
        description="where the runbooks are: the file name of the failure mode is appended",
    )  # fmt: skip
    severity_rules: tuple[Rule, ...] = Field(
        default=(), max_length=200, description="rules of your own, asked before the ones that come with the product"
    )
    severity_adjustments: tuple[Move, ...] = Field(
        default=(), max_length=50,
        description="moves of your own, by how much is hit; one named as one of the product's takes its place",
    )  # fmt: skip
    deescalate_after_s: float = Field(
        default=600, ge=0, le=86_400,
        description="a severity falls when the rules have said less for this long; bigger: it flaps less, and stays high "
        "for longer",
    )  # fmt: skip
    sla: tuple[Promise, ...] = Field(
        default=(), max_length=10_000,
        description="what was promised of subjects: broken, it is worse than the same change within it",
    )  # fmt: skip
    kill_switches: dict[Name, Name] = Field(
        default_factory=dict, max_length=10_000,
        description="by subject, the feature flag that switches it off: a flag of this name is its kill switch",
    )  # fmt: skip
    response: tuple[Response, ...] = Field(
        default=(), max_length=4, description="by when each thing is due, where that is not as the playbook has it"
    )
    regimes: tuple[str, ...] = Field(
        default=(), max_length=20,
        description="laws and standards whose duties to notify are shown: apra_cps_230, apra_cps_234, au_privacy, gdpr",
    )  # fmt: skip
    public_names: dict[str, PublicName] = Field(
        default_factory=dict, max_length=10_000,
        description="what users know a subject as, for drafts to them; one that has none is called by its own name",
    )  # fmt: skip
    reminders_max: int = Field(
        default=5, ge=1, le=20,
        description="reminders of missed communications in a row without anybody doing anything; then it is silent",
    )  # fmt: skip
    suspects_max: int = Field(default=5, ge=1, le=20, description="suspects an incident names, best first")
    evidence_max: int = Field(default=50, ge=1, le=60, description="lines of evidence an incident shows")
    drifts_max: int = Field(default=400, ge=1, le=2_000, description="drifts an incident keeps, over all partitions")
    log_entries_max: int = Field(default=100, ge=2, le=200, description="lines of an incident's running log")
    incidents_max: int = Field(
        default=500, ge=1, le=10_000,
        description="incidents kept to be revised; beyond, the oldest resolved go (the alerts topic keeps them)",
    )  # fmt: skip
    deployments_max: int = Field(
        default=1_000, ge=1, le=100_000, description="deployments kept to be suspects; beyond, the oldest to arrive go"
    )
    workload_shifts_max: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="workload drifts kept to be suspects; beyond, the oldest to arrive go",
    )

    business_hours: BusinessHours = Field(
        default_factory=BusinessHours, description="the days and hours in which what P3 and P4 may take is counted"
    )

    @field_validator("regimes")
    @classmethod
    def _are_known(cls, regimes: tuple[str, ...]) -> tuple[str, ...]:
        for name in regimes:
            if name not in known_regimes():
                raise ValueError(f'no regime is called "{name}": did you mean "{nearest(name, known_regimes())}"?')
        return regimes

    @field_validator("response")
    @classmethod
    def _is_one_a_severity(cls, response: tuple[Response, ...]) -> tuple[Response, ...]:
        for severity, count in Counter(each.severity for each in response).items():
            if count > 1:
                raise ValueError(f"{severity} is there {count} times: give all its times in one")
        return response

    @field_validator("sla")
    @classmethod
    def _once(cls, sla: tuple[Promise, ...]) -> tuple[Promise, ...]:
        counts = Counter((promise.subject, promise.signal) for promise in sla)
        for (subject, signal), count in counts.items():
            if count > 1:
                raise ValueError(f"{signal} of {subject} is promised {count} times: give maximum and minimum in one")
        return sla
