"""The incident: failure, start, severity, likely cause and response. Every revision is complete."""

from typing import Literal

from pydantic import Field

from schemas.drift import Direction, Layer, Tier
from schemas.message import INTEGER_MAX, ITEMS_MAX, Integer, Message, Natural, Text
from schemas.record import Label, Subject
from schemas.timestamp import Timestamp

Severity = Literal["P1", "P2", "P3", "P4"]
IncidentStatus = Literal["open", "acknowledged", "mitigated", "resolved", "merged"]
Role = Literal["commander", "technical_lead", "communications_lead"]
Audience = Literal["internal", "external"]

CLOSED: tuple[IncidentStatus, ...] = ("resolved", "merged")
"""Statuses of an incident that is over."""

CHILDREN_MAX = 100
"""Maximum number of children in a parent incident. ``subject_count`` counts all subjects."""


class SignalEvidence(Message):
    """State of one drift of the incident, as last published."""

    drift_id: Label
    signal: Label
    layer: Layer
    unit: Label = ""
    channel: Label
    side: Direction
    tier: Tier
    segments: list[Label] = Field(default_factory=list, max_length=ITEMS_MAX)
    detector: Label
    state: Literal["firing", "recovered"]
    normal: float
    now: float
    effect: float
    effect_kind: Label
    records: Integer
    started_at: Timestamp
    detected_at: Timestamp
    measured_at: Timestamp | None = Field(
        default=None, description="Time at which now was measured: at the detection, or at a later report of the drift."
    )
    sentence: Text


class Suspect(Message):
    """A probable cause."""

    rank: Integer
    kind: Label
    name: Label
    score: float = Field(ge=0, le=1)
    reason: Text
    split: Literal["bad", "alike"] | None = Field(
        default=None,
        description="Comparison of its version with other versions in the same minutes. Absent if not known.",
    )
    deployment_id: Label | None = None
    from_version: Label | None = None
    to_version: Label | None = None
    at: Timestamp | None = None


class Containment(Message):
    """One containment step. ``rank`` is the order."""

    rank: Integer
    action: Literal["kill_switch", "throttle", "rollback", "filter", "investigate"]
    target: Text
    reason: Text
    to_version: Label | None = Field(default=None, description="Version that a rollback returns to.")
    done_at: Timestamp | None = Field(default=None, description="Time at which it was done. Completed steps are last.")


class ResponseTarget(Message):
    """A response target and its due time."""

    name: Literal["classify", "commander", "contain", "first_communication", "next_communication", "fix", "review"]
    due_at: Timestamp
    source: Text
    done_at: Timestamp | None = Field(
        default=None,
        description="Time at which the target was met, or null if it was not met or the time is not known.",
    )


class Duty(Message):
    """A legal duty that may apply to the incident. A person decides whether it does."""

    regime: Label
    name: Text
    due_at: Timestamp | None = Field(default=None, description="Deadline, or null for as soon as practicable.")
    to: Text = Field(description="Party to notify, or party that assesses the incident.")
    text: Text
    source: Text = Field(description="Source of the duty, and the date on which the source was consulted.")


class Draft(Message):
    """Draft of a message. Before sending, a person checks it and fills in the unknown parts in [brackets]."""

    audience: Audience
    subject: Text
    text: Text


class LogEntry(Message):
    """One line of the running log."""

    at: Timestamp
    event: Label
    text: Text


class Incident(Message):
    """One revision of an incident. The key on the topic is ``incident_id``, and the newest revision is current."""

    version: Literal[1] = 1
    incident_id: Label
    revision: int = Field(ge=1, le=INTEGER_MAX)
    status: IncidentStatus
    severity: Severity
    severity_rule: Label = Field(description="Name of the severity rule that applied.")
    severity_reason: Text
    severity_moved_by: Label | None = Field(
        default=None,
        description="Name of the adjustment that changed the rule's severity by one step, if any.",
    )
    failure_mode: Label
    subject: Subject
    environment: Label | None = None
    provider: Label | None = None
    segments: list[Label] = Field(default_factory=list, max_length=ITEMS_MAX)
    title: Text
    summary: Text = Field(description="One paragraph for the person on call.")
    started_at: Timestamp
    detected_at: Timestamp
    detection_gap_s: float
    updated_at: Timestamp
    resolved_at: Timestamp | None = None
    evidence: list[SignalEvidence] = Field(max_length=ITEMS_MAX)
    suspects: list[Suspect] = Field(default_factory=list, max_length=ITEMS_MAX)
    containment: list[Containment] = Field(default_factory=list, max_length=ITEMS_MAX)
    response_targets: list[ResponseTarget] = Field(default_factory=list, max_length=ITEMS_MAX)
    duties: list[Duty] = Field(default_factory=list, max_length=ITEMS_MAX)
    drafts: list[Draft] = Field(default_factory=list, max_length=ITEMS_MAX)
    runbook: Text
    acknowledged_by: Label | None = None
    commander: Label | None = Field(default=None, description="Leads the response.")
    technical_lead: Label | None = Field(default=None, description="Finds the cause and fixes it.")
    communications_lead: Label | None = Field(default=None, description="Informs stakeholders, internal and external.")
    communicated: dict[Audience, Timestamp] = Field(
        default_factory=dict, description="Time of the last communication to each audience."
    )
    change_freeze: Literal["on", "broken", "off"] = Field(
        default="off", description="on: other changes must wait. broken: a change did not wait. off: no freeze."
    )
    freeze_broken_by: list[Label] = Field(
        default_factory=list,
        max_length=ITEMS_MAX,
        description="Newest deployments during the incident, without its rollbacks.",
    )
    merged_into: Label | None = Field(
        default=None, description="Incident into which this incident was merged, and which covers it."
    )
    parent: Label | None = Field(
        default=None, description="Parent incident of many subjects into which this incident was merged automatically."
    )
    children: list[Label] = Field(
        default_factory=list, max_length=CHILDREN_MAX, description="Incidents of single subjects in a parent."
    )
    subject_count: Natural = Field(
        default=1, description="Number of affected subjects. For a parent, the total over all its children."
    )
    change: Text = Field(description="Changes in this revision.")
    log: list[LogEntry] = Field(default_factory=list, max_length=ITEMS_MAX)
