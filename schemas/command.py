"""The command: what a person says of an incident, or a silence. Read by correlate and route."""

from typing import Literal

from pydantic import Field

from schemas.incident import Severity
from schemas.message import Message
from schemas.record import Label
from schemas.timestamp import Timestamp

Action = Literal["acknowledge", "classify", "assign", "resolve", "accept", "silence"]


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
    note: str | None = Field(default=None, max_length=2000)
    matchers: list[str] = Field(
        default_factory=list, description='of a silence: subject="support-bot", severity=~"P3|P4"'
    )
    until: Timestamp | None = Field(default=None, description="the end of a silence")
