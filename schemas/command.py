"""The command message: a person acts on an incident or adds a silence. Correlate and route read it."""

from typing import Literal

from pydantic import Field

from schemas.incident import Audience, Resolution, Role, Severity
from schemas.message import Message, Text, Version
from schemas.record import Label
from schemas.timestamp import Timestamp

MATCHERS_MAX = 100
"""Maximum number of matchers in a silence."""

NOTE_LENGTH_MAX = 2000
"""Maximum number of characters in a note."""

Action = Literal[
    "acknowledge",
    "unacknowledge",
    "classify",
    "assign",
    "note",
    "mitigate",
    "resolve",
    "reopen",
    "merge",
    "unmerge",
    "accept",
    "silence",
]


class Command(Message):
    """A person acts on an incident or adds a silence."""

    version: Version = 1
    command_id: Label = Field(description="Id of the command.")
    at: Timestamp = Field(description="Time at which the person acted.")
    author: Label = Field(description="Name that the client gave. Kafka does not check it.")
    action: Action = Field(description="What the person does.")
    incident_id: Label | None = Field(default=None, description="Required for every action except silence.")
    severity: Severity | None = Field(default=None, description="Severity that classify gives to the incident.")
    assignee: Label | None = Field(default=None, description="Person to whom assign gives a role.")
    role: Role | None = Field(
        default=None, description="Role that assign gives to the assignee. If absent, the role is commander."
    )
    resolved_as: Resolution | None = Field(
        default=None, description="What the incident was, for resolve: a failure, a false alarm, or an expected change."
    )
    into: Label | None = Field(default=None, description="Incident into which the command merge merges this incident.")
    communicated: Audience | None = Field(
        default=None, description="Audience that was informed of the incident, at the time of the command."
    )
    note: str | None = Field(
        default=None, max_length=NOTE_LENGTH_MAX, description="Text for the running log, or the comment of a silence."
    )
    matchers: list[Text] = Field(
        default_factory=list,
        max_length=MATCHERS_MAX,
        description='Matchers of a silence: subject="support-bot", severity=~"P3|P4".',
    )
    until: Timestamp | None = Field(default=None, description="End of a silence.")
