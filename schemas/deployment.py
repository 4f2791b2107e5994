"""The deployment: a change to the system behind a subject, reported by a CI/CD pipeline or a provider's status page."""

from typing import Literal

from pydantic import Field

from schemas.message import Message
from schemas.record import Label, Subject
from schemas.timestamp import Timestamp

DeploymentKind = Literal["model", "prompt", "index", "flag", "dependency", "config", "data", "provider_status", "other"]


class Deployment(Message):
    """Change that affects a ``subject``, or all subjects of an ``environment`` or ``provider``."""

    version: Literal[1] = 1
    deployment_id: Label = Field(min_length=1)
    timestamp: Timestamp = Field(description="Time at which the change began to serve.")
    kind: DeploymentKind
    subject: Subject | None = None
    environment: Label | None = None
    provider: Label | None = None
    name: Label | None = Field(
        default=None, description="Name, if there are several of a kind: the flag or the package."
    )
    from_version: Label | None = None
    to_version: Label | None = None
    rollback_of: Label | None = Field(default=None, description="Id of the deployment that this deployment reverts.")
    expect_shift: list[Label] = Field(default_factory=list, description="Signals that this change moves on purpose.")
    summary: str | None = Field(default=None, max_length=500)
    author: Label | None = Field(default=None, description="Name that the client gave. Kafka does not check it.")
