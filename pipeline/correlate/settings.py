"""Settings of the correlate step: time windows, limits, severity rules, SLAs, and response times."""

from collections import Counter
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline.correlate.playbook import BusinessHours, ResponseTimes, known_regimes
from pipeline.correlate.severity import SLA, SeverityAdjustment, SeverityRule
from pipeline.wording import did_you_mean
from schemas.incident import Severity

PublicName = Annotated[str, Field(min_length=1, max_length=100)]
FlagName = Annotated[str, Field(min_length=1, max_length=100)]


class CorrelateSettings(BaseModel):
    """Settings of the correlate step. Times are in seconds of event time, and limits are counts.

    A changed setting applies to new messages. Open incidents remain.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    join_window_s: float = Field(
        default=600,
        ge=0,
        le=86_400,
        description="Seconds after an incident's last change within which a drift must begin to join the "
        "incident. Higher values give fewer, larger incidents.",
    )
    simultaneous_window_s: float = Field(
        default=120,
        ge=0,
        le=3_600,
        description="Seconds within which failures count as starting at the same time. Simultaneous failures "
        "that can share a cause form one incident; across many subjects, they form one parent "
        "incident. Higher values merge unrelated failures more often.",
    )
    dedup_window_s: float = Field(
        default=60,
        ge=0,
        le=3_600,
        description="Seconds within which the same finding from several partitions or segments becomes one "
        "line of evidence. Higher values merge more findings.",
    )
    announce_after_s: float = Field(
        default=60,
        ge=0,
        le=3_600,
        description="Seconds for which a new P4 incident waits for more evidence before it is published. A higher "
        "severity is published immediately. Higher values publish a P4 later, and fewer incidents become "
        "more severe after publication.",
    )
    resolve_after_s: float = Field(
        default=300,
        ge=0,
        le=86_400,
        description="Seconds for which all signals of an incident must stay recovered before it is resolved. "
        "With higher values, incidents are resolved later and reopened less often.",
    )
    reopen_window_s: float = Field(
        default=1_800,
        ge=0,
        le=604_800,
        description="Seconds after the resolution of an incident within which the same signal reopens it "
        "instead of opening a new incident.",
    )
    lookback_s: float = Field(
        default=3_600,
        ge=0,
        le=604_800,
        description="Seconds before the start of an incident within which a deployment can be a suspect.",
    )
    start_error_s: float = Field(
        default=60,
        ge=0,
        le=3_600,
        description="Maximum error of the estimated start of an incident, in seconds. A deployment this close "
        "to the estimated start may coincide with the actual start.",
    )
    parent_subjects: int = Field(
        default=3,
        ge=2,
        le=1_000,
        description="Minimum number of subjects that form a parent incident if their incidents begin together. They "
        "must share a provider, or an environment if they have no provider. Higher values form fewer parent incidents.",
    )
    freeze_severities: tuple[Severity, ...] = Field(
        default=("P1", "P2", "P3"),
        max_length=4,
        description="Severities that freeze changes. While such an incident is open, any deployment except its "
        "rollback breaks the change freeze.",
    )
    worsening_factor: float = Field(
        default=2.0,
        ge=1.1,
        le=100,
        description="Factor by which a signal's distance from normal must exceed the last published distance "
        "before the signal is published again. Higher values publish fewer revisions.",
    )
    suspect_score_min: float = Field(
        default=0.05, ge=0, le=1, description="Minimum score of a suspect. Less plausible suspects are omitted."
    )
    runbooks: str = Field(
        default="docs/runbooks/",
        max_length=300,
        description="Location of the runbooks. The file name of the failure mode is appended.",
    )
    severity_rules: tuple[SeverityRule, ...] = Field(
        default=(), max_length=200, description="Your own severity rules. They are evaluated before the built-in rules."
    )
    severity_adjustments: tuple[SeverityAdjustment, ...] = Field(
        default=(),
        max_length=50,
        description="Your own severity adjustments, by blast radius. An adjustment with the name of a built-in "
        "adjustment replaces it.",
    )
    deescalate_after_s: float = Field(
        default=600,
        ge=0,
        le=86_400,
        description="Seconds for which the rules must assign a lower severity before the severity falls. Higher "
        "values make the severity change less often and stay high for longer.",
    )
    sla: tuple[SLA, ...] = Field(
        default=(),
        max_length=10_000,
        description="Promised limits for the signals of a subject. A change that breaks a limit is more "
        "severe than the same change within the limit.",
    )
    kill_switches: dict[FlagName, FlagName] = Field(
        default_factory=dict,
        max_length=10_000,
        description="Feature flag that switches off each subject (its kill switch), such as { support-bot = "
        '"support_bot_enabled" }.',
    )
    response: tuple[ResponseTimes, ...] = Field(
        default=(), max_length=4, description="Response times per severity that differ from the playbook."
    )
    regimes: tuple[str, ...] = Field(
        default=(),
        max_length=20,
        description="Laws and standards whose notification duties are shown: apra_cps_230, apra_cps_234, au_privacy, "
        "gdpr.",
    )
    public_names: dict[str, PublicName] = Field(
        default_factory=dict,
        max_length=10_000,
        description="Names by which users know each subject, for drafts addressed to users. A subject without a "
        "public name appears under its own name.",
    )
    reminders_max: int = Field(
        default=5,
        ge=1,
        le=20,
        description="Maximum number of consecutive reminders about missed communications. After that, no "
        "reminders are sent until somebody acts.",
    )
    suspects_max: int = Field(
        default=5, ge=1, le=20, description="Maximum number of suspects per incident, best first."
    )
    evidence_max: int = Field(default=50, ge=1, le=60, description="Maximum number of lines of evidence per incident.")
    drifts_max: int = Field(
        default=400,
        ge=1,
        le=2_000,
        description="Maximum number of drifts that an incident tracks, over all partitions.",
    )
    log_entries_max: int = Field(
        default=100, ge=2, le=200, description="Maximum number of lines in the running log of an incident."
    )
    incidents_max: int = Field(
        default=500,
        ge=1,
        le=10_000,
        description="Maximum number of incidents stored for revision. Beyond this number, the oldest resolved "
        "incidents are dropped; they remain on the alerts topic.",
    )
    deployments_max: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Maximum number of deployments stored as possible suspects. Beyond this number, the "
        "deployments that arrived first are dropped.",
    )
    workload_shifts_max: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Maximum number of workload drifts stored as possible suspects. Beyond this number, the "
        "drifts that arrived first are dropped.",
    )
    business_hours: BusinessHours = Field(
        default_factory=BusinessHours,
        description="Working days and hours, which count towards the time to fix a P3 or P4.",
    )

    @field_validator("regimes")
    @classmethod
    def _check_regimes(cls, regimes: tuple[str, ...]) -> tuple[str, ...]:
        for name in regimes:
            if name not in known_regimes():
                raise ValueError(f'unknown regime "{name}"; {did_you_mean(name, known_regimes())}')
        return regimes

    @field_validator("response")
    @classmethod
    def _check_response(cls, response: tuple[ResponseTimes, ...]) -> tuple[ResponseTimes, ...]:
        for severity, count in Counter(times.severity for times in response).items():
            if count > 1:
                raise ValueError(f"severity {severity} appears {count} times; put all its times in one table")
        return response

    @field_validator("sla")
    @classmethod
    def _check_sla(cls, sla: tuple[SLA, ...]) -> tuple[SLA, ...]:
        counts = Counter((limits.subject, limits.signal) for limits in sla)
        for (subject, signal), count in counts.items():
            if count > 1:
                raise ValueError(f"{signal} of {subject} appears {count} times; put maximum and minimum in one table")
        return sla
