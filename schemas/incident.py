"""The incident: failure, start, severity, likely cause and response. Every revision is complete."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.drift import Direction, Layer, Tier
from schemas.message import INTEGER_MAX, ITEMS_MAX, Integer, Message, Natural, Position, Text, Version
from schemas.record import Label, Number, Ratio, SignalValue, Subject
from schemas.timestamp import Timestamp
from schemas.unit import Unit

Severity = Literal["P1", "P2", "P3", "P4"]
IncidentStatus = Literal["open", "acknowledged", "mitigated", "resolved", "merged"]
Role = Literal["commander", "technical_lead", "communications_lead"]
Audience = Literal["internal", "external"]
Resolution = Literal["failure", "false_alarm", "expected"]

CLOSED: tuple[IncidentStatus, ...] = ("resolved", "merged")
"""Statuses of an incident that is over."""

CHILDREN_MAX = 100
"""Maximum number of children in a parent incident. ``subject_count`` counts all subjects."""


class SignalEvidence(Message):
    """State of one drift of the incident, as last published."""

    drift_id: Label = Field(description="Id of the drift.")
    signal: Label = Field(description="Name of the signal, as in the signal catalogue.")
    layer: Layer = Field(description="Layer of the system to which the signal belongs.")
    unit: Label = Field(default="", description="Unit of the signal, or empty if it has none.")
    channel: Label = Field(description="Property of the signal that drifted, such as rate or location.")
    side: Direction = Field(description="Direction in which the signal moved.")
    tier: Tier = Field(description="Strongest effect of the drift: a page, a ticket, or only evidence of a cause.")
    segments: list[Label] = Field(
        default_factory=list,
        max_length=ITEMS_MAX,
        description="Segments in which the signal drifted. If empty, it drifted in the full subject.",
    )
    detector: Label = Field(description="Detector that fired.")
    state: Literal["firing", "recovered"] = Field(
        description="Whether the signal is outside its baseline or has returned."
    )
    normal: SignalValue = Field(description="Mean (rate) or median (value) of the baseline.")
    now: SignalValue = Field(description="Value of the same statistic when it was measured.")
    effect: Number = Field(description="Size of the drift, in the measure that effect_kind names.")
    effect_kind: Label = Field(description="Measure of the effect: odds_ratio, rank_shift or ratio.")
    records: Annotated[Integer, Unit("{records}")] = Field(
        description="Records since started_at that carry the signal."
    )
    started_at: Timestamp = Field(description="Estimated time at which the signal left its baseline.")
    detected_at: Timestamp = Field(description="Event time of the record that fired.")
    measured_at: Timestamp | None = Field(
        default=None, description="Time at which now was measured: at the detection, or at a later report of the drift."
    )
    sentence: Text = Field(description="The finding as a sentence for people.")


class Suspect(Message):
    """A probable cause."""

    rank: Position = Field(description="Position in the order in which to check the suspects, from 1.")
    kind: Label = Field(description="Kind of cause, such as the kind of a deployment.")
    name: Label = Field(description="Name of the cause for people.")
    score: Ratio = Field(description="How well it explains the incident, from 0 to 1. It is not a probability.")
    reason: Text = Field(description="The reason as a sentence.")
    split: Literal["bad", "alike"] | None = Field(
        default=None,
        description="Comparison of its version with other versions in the same minutes. Absent if not known.",
    )
    deployment_id: Label | None = Field(default=None, description="Id of the deployment, if the suspect is one.")
    from_version: Label | None = Field(default=None, description="Version before the change.")
    to_version: Label | None = Field(default=None, description="Version after the change.")
    at: Timestamp | None = Field(default=None, description="Time of the change.")


class Containment(Message):
    """One containment step. ``rank`` is the order."""

    rank: Position = Field(description="Position in the order of the steps, from 1.")
    action: Literal["kill_switch", "throttle", "rollback", "filter", "investigate"] = Field(description="Kind of step.")
    target: Text = Field(description="What the step is applied to.")
    reason: Text = Field(description="The reason as a sentence.")
    to_version: Label | None = Field(default=None, description="Version that a rollback returns to.")
    done_at: Timestamp | None = Field(default=None, description="Time at which it was done. Completed steps are last.")


class ResponseTarget(Message):
    """A response target and its due time."""

    name: Literal["classify", "commander", "contain", "first_communication", "next_communication", "fix", "review"] = (
        Field(description="What has to be done.")
    )
    due_at: Timestamp = Field(description="Time by which it has to be done.")
    source: Text = Field(description="Rule from which the due time follows.")
    done_at: Timestamp | None = Field(
        default=None,
        description="Time at which the target was met, or null if it was not met or the time is not known.",
    )


class Duty(Message):
    """A legal duty that may apply to the incident. A person decides whether it does."""

    regime: Label = Field(description="Legal regime that contains the duty, such as gdpr.")
    name: Text = Field(description="Name of the duty for people.")
    due_at: Timestamp | None = Field(default=None, description="Deadline, or null for as soon as practicable.")
    to: Text = Field(description="Party to notify, or party that assesses the incident.")
    text: Text = Field(description="What the duty requires.")
    source: Text = Field(description="Source of the duty, and the date on which the source was consulted.")


class Draft(Message):
    """Draft of a message. Before sending, a person checks it and fills in the unknown parts in [brackets]."""

    audience: Audience = Field(description="Audience of the message.")
    subject: Text = Field(description="Subject line of the message.")
    text: Text = Field(description="Text of the message.")


class DraftFacts(Message):
    """What drafts state that is not in any other field of the incident. Times are to the minute."""

    failure_mode: Label = Field(default="", description="Failure mode of the drift that the incident is named after.")
    share: Text = Field(description="Affected share of the requests, for people.")
    products: Text = Field(default="", description="Names by which users know the subjects.")
    recovered_at: Timestamp | None = Field(default=None, description="Time at which all signals had recovered.")
    rolled_back_at: Timestamp | None = Field(default=None, description="Time of the rollback.")
    switched_off_at: Timestamp | None = Field(default=None, description="Time of the use of the kill switch.")
    mitigated_at: Timestamp | None = Field(default=None, description="Time at which a person contained the incident.")


class LogEntry(Message):
    """One line of the running log."""

    at: Timestamp = Field(description="Time of the event.")
    event: Label = Field(description="Kind of event.")
    text: Text = Field(description="The event as a sentence.")


class Incident(Message):
    """One revision of an incident. The key on the topic is ``incident_id``, and the newest revision is current."""

    version: Version = 1
    incident_id: Label = Field(description="Id of the incident.")
    revision: Annotated[int, Field(ge=1, le=INTEGER_MAX), Unit("1")] = Field(
        description="Number of this revision, from 1."
    )
    status: IncidentStatus = Field(description="Status of the incident.")
    severity: Severity = Field(description="Severity of the incident, from P1, the highest, to P4.")
    severity_rule: Label = Field(description="Name of the severity rule that applied.")
    severity_reason: Text = Field(description="Reason for the severity, as a sentence.")
    severity_moved_by: Label | None = Field(
        default=None,
        description="Name of the adjustment that changed the rule's severity by one step, if any.",
    )
    failure_mode: Label = Field(description="Failure that the drifts indicate.")
    subject: Subject = Field(description="Affected subject, or the property that the subjects of a parent share.")
    environment: Label | None = Field(default=None, description="Environment of the subject.")
    provider: Label | None = Field(default=None, description="Provider of the subject's model.")
    segments: list[Label] = Field(
        default_factory=list,
        max_length=ITEMS_MAX,
        description="Affected segments. If empty, the full subject is affected.",
    )
    title: Text = Field(description="Title for people.")
    summary: Text = Field(description="One paragraph for the person on call.")
    started_at: Timestamp = Field(description="Estimated start of the failure.")
    detected_at: Timestamp = Field(description="Event time at which the failure was detected.")
    detection_gap_s: Annotated[float, Unit("s")] = Field(description="Time from started_at to detected_at.")
    updated_at: Timestamp = Field(description="Time of this revision.")
    resolved_at: Timestamp | None = Field(default=None, description="Time at which the incident was resolved.")
    resolved_as: Resolution | None = Field(
        default=None, description="What it was according to the person who resolved it. Absent if nobody said it."
    )
    evidence: list[SignalEvidence] = Field(max_length=ITEMS_MAX, description="Drifts of the incident.")
    suspects: list[Suspect] = Field(
        default_factory=list, max_length=ITEMS_MAX, description="Probable causes, in the order in which to check them."
    )
    containment: list[Containment] = Field(
        default_factory=list, max_length=ITEMS_MAX, description="Proposed steps that limit the harm, in their order."
    )
    response_targets: list[ResponseTarget] = Field(
        default_factory=list, max_length=ITEMS_MAX, description="What people have to do, and by when."
    )
    duties: list[Duty] = Field(
        default_factory=list, max_length=ITEMS_MAX, description="Legal duties that may apply to the incident."
    )
    drafts: list[Draft] = Field(
        default_factory=list,
        max_length=ITEMS_MAX,
        description="Drafts of messages to each audience. They are made when somebody reads the incident: the topic does "
        "not contain them, but webhooks and the command line do.",
    )
    draft_facts: DraftFacts | None = Field(
        default=None, description="Facts from which drafts are made, or null if the incident needs no message."
    )
    runbook: Text = Field(description="Path of the runbook for the failure mode.")
    acknowledged_by: Label | None = Field(default=None, description="Person who acknowledged the incident.")
    commander: Label | None = Field(default=None, description="Leads the response.")
    technical_lead: Label | None = Field(default=None, description="Finds the cause and fixes it.")
    communications_lead: Label | None = Field(default=None, description="Informs stakeholders, internal and external.")
    communicated: dict[Audience, Timestamp] = Field(
        default_factory=dict, description="Time of the last communication to each audience."
    )
    change_freeze: Literal["on", "broken", "off"] = Field(
        default="off",
        description="Whether other changes must wait (on), one did not wait (broken), or there is no freeze (off).",
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
    subject_count: Annotated[Natural, Unit("{subjects}")] = Field(
        default=1, description="Number of affected subjects. For a parent, the total over all its children."
    )
    change: Text = Field(description="Changes in this revision.")
    log: list[LogEntry] = Field(
        default_factory=list, max_length=ITEMS_MAX, description="Running log, in order of time."
    )
