"""The command: what a person says of an incident, or a silence. Read by correlate and route."""

from typing import Literal

from pydantic import Field

from schemas.incident import Audience, Role, Severity
from schemas.message import Message
from schemas.record import Label
from schemas.timestamp import Timestamp

Action = Literal[
    "acknowledge",
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
    """One thing said."""

    version: Literal[1] = 1
    command_id: Label
    at: Timestamp
    author: Label
    action: Action
    incident_id: Label | None = Field(default=None, description="all actions but silence need it")
    severity: Severity | None = None
    assignee: Label | None = None
    role: Role | None = Field(default=None, description="of an assign: what the assignee is; absent: commander")
    into: Label | None = Field(default=None, description="of a merge: the incident that takes this one up")
    communicated: Audience | None = Field(
        default=None, description="these people have been told of the incident, at the time of the command"
    )
    note: str | None = Field(default=None, max_length=2000)
    matchers: list[str] = Field(
        default_factory=list, description='of a silence: subject="support-bot", severity=~"P3|P4"'
    )
    until: Timestamp | None = Field(default=None, description="the end of a silence")
