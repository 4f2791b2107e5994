"""The incident: what broke, since when, how bad, because of what, and what to do. Each revision is a whole one."""

from typing import Literal

from pydantic import Field

from schemas.drift import Layer, Side, Tier
from schemas.message import Message
from schemas.record import Label, Subject
from schemas.timestamp import Timestamp

Severity = Literal["P1", "P2", "P3", "P4"]
IncidentStatus = Literal["open", "acknowledged", "mitigated", "resolved", "merged"]
Role = Literal["commander", "technical_lead", "communications_lead"]
Audience = Literal["internal", "external"]

CHILDREN_MAX = 100
"""Children that a parent incident names; ``subject_count`` counts all."""


class SignalEvidence(Message):
    """One drift of the incident: the newest state of it."""

    drift_id: Label
    signal: Label
    layer: Layer
    unit: Label = ""
    channel: Label
    side: Side
    tier: Tier
    segments: list[Label] = Field(default_factory=list)
    detector: Label
    state: Literal["firing", "recovered"]
    normal: float
    now: float
    effect: float
    effect_kind: Label
    records: int
    started_at: Timestamp
    detected_at: Timestamp
    sentence: str


class Suspect(Message):
    """What probably caused it."""

    rank: int
    kind: Label
    name: Label
    score: float = Field(ge=0, le=1)
    reason: str
    split: Literal["bad", "alike"] | None = Field(
        default=None, description="how its version did beside the others in the same minutes; absent: not known"
    )
    deployment_id: Label | None = None
    from_version: Label | None = None
    to_version: Label | None = None
    at: Timestamp | None = None


class Containment(Message):
    """One thing to do now, in the order to do it."""

    rank: int
    action: Literal["kill_switch", "throttle", "rollback", "filter", "investigate"]
    target: str
    reason: str
    to_version: Label | None = Field(default=None, description="of a rollback: the version to return to")
    done_at: Timestamp | None = Field(default=None, description="when it was done, if it was: these stand last")


class ResponseTarget(Message):
    """What is due by when."""

    name: Literal["classify", "commander", "contain", "first_communication", "next_communication", "fix", "review"]
    due_at: Timestamp
    source: str
    done_at: Timestamp | None = Field(
        default=None, description="when it was done, as far as it is known; null: it is not"
    )


class Duty(Message):
    """What the law may ask for because of it. Whether it does is for a person to decide."""

    regime: Label
    name: str
    due_at: Timestamp | None = Field(default=None, description="null: as soon as practicable")
    to: str = Field(description="whom to notify, or who assesses")
    text: str
    source: str = Field(description="where it is written, and when that was read")


class Draft(Message):
    """A message to be checked by a person before anybody sends it. What is in [brackets] is not known and is to fill in."""

    audience: Audience
    subject: str
    text: str


class LogEntry(Message):
    """One line of the running log."""

    at: Timestamp
    event: Label
    text: str


class Incident(Message):
    """One incident, at one revision. The key on the topic is ``incident_id``; the newest revision is the truth."""

    version: Literal[1] = 1
    incident_id: Label
    revision: int = Field(ge=1)
    status: IncidentStatus
    severity: Severity
    severity_rule: Label = Field(description="the name of the rule that decided")
    severity_reason: str
    severity_moved_by: Label | None = Field(
        default=None,
        description="the move that made it one step milder or worse than the rule says, by how much is hit",
    )
    failure_mode: Label
    subject: Subject
    environment: Label | None = None
    provider: Label | None = None
    segments: list[Label] = Field(default_factory=list)
    title: str
    summary: str = Field(description="one readable paragraph for the person on call")
    started_at: Timestamp
    detected_at: Timestamp
    detection_gap_s: float
    updated_at: Timestamp
    resolved_at: Timestamp | None = None
    evidence: list[SignalEvidence]
    suspects: list[Suspect] = Field(default_factory=list)
    containment: list[Containment] = Field(default_factory=list)
    response_targets: list[ResponseTarget] = Field(default_factory=list)
    duties: list[Duty] = Field(default_factory=list)
    drafts: list[Draft] = Field(default_factory=list)
    runbook: str
    acknowledged_by: Label | None = None
    commander: Label | None = Field(default=None, description="leads the response")
    technical_lead: Label | None = Field(default=None, description="finds the cause and fixes it")
    communications_lead: Label | None = Field(default=None, description="tells stakeholders, inside and outside")
    communicated: dict[Audience, Timestamp] = Field(
        default_factory=dict, description="when each kind of stakeholder was told last"
    )
    change_freeze: Literal["on", "broken", "off"] = Field(
        default="off", description="whether other changes are to wait, and whether one did not"
    )
    freeze_broken_by: list[Label] = Field(
        default_factory=list, description="deployments into the incident that are not its rollback, the newest"
    )
    merged_into: Label | None = Field(default=None, description="the incident that says all that this one would")
    parent: Label | None = Field(
        default=None, description="the incident of many subjects that it became a part of by itself"
    )
    children: list[Label] = Field(
        default_factory=list, max_length=CHILDREN_MAX, description="of a parent: the incidents of single subjects in it"
    )
    subject_count: int = Field(default=1, ge=0, description="subjects it is about; of a parent all of its children's")
    change: str = Field(description="what this revision changed")
    log: list[LogEntry] = Field(default_factory=list)
