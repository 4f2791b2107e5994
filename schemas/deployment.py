"""The deployment: a change to what serves a subject, as a CI/CD pipeline or a provider's status page reports it."""

from typing import Literal

from pydantic import Field

from schemas.message import Message
from schemas.record import Label, Subject
from schemas.timestamp import Timestamp

DeploymentKind = Literal["model", "prompt", "index", "flag", "dependency", "config", "data", "provider_status", "other"]


class Deployment(Message):
    """One change. It names the ``subject`` it touches, or an ``environment`` or ``provider`` for all of theirs."""

    version: Literal[1] = 1
    deployment_id: Label = Field(min_length=1)
    timestamp: Timestamp = Field(description="when the change began to serve")
    kind: DeploymentKind
    subject: Subject | None = None
    environment: Label | None = None
    provider: Label | None = None
    name: Label | None = Field(
        default=None, description="which one, where a kind has many: the flag's or package's name"
    )
    from_version: Label | None = None
    to_version: Label | None = None
    rollback_of: Label | None = Field(default=None, description="the deployment_id that this one takes back")
    expect_shift: list[Label] = Field(default_factory=list, description="signals that this change moves on purpose")
    summary: str | None = Field(default=None, max_length=500)
    author: Label | None = None
