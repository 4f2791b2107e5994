"""The notice: the outcome of sending a message that is not about one incident to a receiver: a digest or a deployment."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.deployment import SUBJECTS_MAX, Deployment
from schemas.incident import IncidentStatus, Severity
from schemas.message import Message, Natural, Text, Version
from schemas.notification import AttemptCount, ReasonCode
from schemas.record import Label, Subject
from schemas.timestamp import Timestamp
from schemas.unit import Unit

DIGEST_INCIDENTS_MAX = 50
"""Maximum number of incidents in a section of a digest. Higher values make digests longer."""


class Suppression(Message):
    """A reason why notifications of an incident were suppressed."""

    reason_code: ReasonCode = Field(description="Code of the reason, from a closed set.")
    reason: Text = Field(description="The reason as a sentence.")


class DigestIncident(Message):
    """An incident in a digest, in its newest revision."""

    incident_id: Label = Field(description="Id of the incident.")
    subject: Subject = Field(description="Subject of the incident.")
    severity: Severity = Field(description="Current severity.")
    status: IncidentStatus = Field(description="Current status.")
    title: Text = Field(description="Title of the incident.")
    started_at: Timestamp = Field(description="Estimated start of the failure.")
    suppressions: list[Suppression] = Field(
        default_factory=list, max_length=DIGEST_INCIDENTS_MAX, description="Why it was suppressed, in that section."
    )


class DigestSection(Message):
    """Incidents of a digest that have something in common, newest first."""

    total: Annotated[Natural, Unit("{incidents}")] = Field(
        description="Number of incidents. The list of incidents can be shorter."
    )
    incidents: list[DigestIncident] = Field(max_length=DIGEST_INCIDENTS_MAX, description="The incidents, newest first.")


class Digest(Message):
    """Summary of the incidents for which nobody is paged."""

    name: Label = Field(description="Name of the digest in the configuration.")
    since: Timestamp = Field(description="Time of the digest before.")
    until: Timestamp = Field(description="Time of this digest.")
    p4: DigestSection = Field(description="P4 incidents that are open, or that had a revision since the digest before.")
    stale_p3: DigestSection = Field(description="P3 incidents that are open for longer than a day.")
    suppressed: DigestSection = Field(
        description="Incidents of which notifications were suppressed since the digest before, or still are: by a "
        "silence, a mute time, an inhibition, or outside active times."
    )

    @property
    def incident_ids(self) -> set[str]:
        """Ids of the incidents that it lists."""
        sections = (self.p4, self.stale_p3, self.suppressed)
        return {incident.incident_id for section in sections for incident in section.incidents}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to read."""
        return not (self.p4.total or self.stale_p3.total or self.suppressed.total)


class DeploymentChange(Message):
    """A deployment, as it is sent to receivers: once, even if it affects several subjects."""

    deployment: Deployment = Field(description="The deployment. Its subject is the first of the subjects.")
    subjects: list[Subject] = Field(
        default_factory=list,
        max_length=SUBJECTS_MAX,
        description="All subjects that it affects. Empty if it affects an environment, a provider or everything.",
    )


class Notice(Message):
    """One notice and its outcome. It is written to the topic of the notifications."""

    type: Literal["notice"] = Field(default="notice", description="Type of the message, which shares its topic.")
    version: Version = 1
    notification_id: Label = Field(
        description="Idempotency key: kind, name, day of the digest or hash of the deployment, and receiver."
    )
    kind: Literal["digest", "deployment"] = Field(description="What the notice is about.")
    name: Label = Field(description="Name of the digest, or id of the deployment.")
    receiver: Label = Field(description="Receiver in the configuration.")
    outcome: Literal["sent", "suppressed", "failed"] = Field(
        description="Whether the notice was sent, was withheld, or could not be sent."
    )
    reason: Text = Field(description="The reason as a sentence.")
    reason_code: ReasonCode = Field(description="Code of the reason, from a closed set.")
    attempts: AttemptCount = Field(default=0, description="Number of attempts to send.")
    decided_at: Timestamp = Field(
        description="Time of the decision: the wall clock, or the newest event time in a replay."
    )
    sent_at: Timestamp | None = Field(
        default=None, description="Wall-clock time at which the receiver accepted the notice."
    )
    digest: Digest | None = Field(default=None, description="The content of a digest. Absent if it is empty.")
    change: DeploymentChange | None = Field(default=None, description="The content of a deployment.")
