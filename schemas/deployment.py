"""The deployment: a change to the system behind a subject, reported by a CI/CD pipeline or a provider's status page.

Delivery tools write ids and versions as numbers or booleans, kinds in capitals, and times in seconds. All unambiguous
values are accepted: see :class:`Deployment`.
"""

import math
from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from schemas.message import ITEMS_MAX, Message, Version
from schemas.record import SUBJECT_LENGTH_MAX, SUBJECT_PATTERN, Label, Subject
from schemas.timestamp import Timestamp

DeploymentKind = Literal[
    "model", "prompt", "index", "flag", "dependency", "config", "data", "code", "provider_status", "other"
]

SUBJECTS_MAX = 1_000
"""Maximum number of subjects in one message."""

SUMMARY_LENGTH_MAX = 500
"""Maximum number of characters in a summary. Longer summaries are cut."""

_DIGEST_BYTES = 4
_TEXT_TYPES = {"type": ["string", "number", "boolean"]}


def read_text(value: Any) -> Any:
    """Return a number or boolean as text, in JSON notation. Other values are returned unchanged.

    >>> read_text(184467), read_text(0.7), read_text(True), read_text("v42")
    ('184467', '0.7', 'true', 'v42')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    return value


def read_label(value: Any) -> Any:
    """Return a value as text with at most 200 characters. Longer texts are cut and end with a hash of the full text.

    Different texts therefore stay different, and equal texts stay equal.

    >>> label = read_label("k=v," * 300)
    >>> len(label), label[-12:]
    (200, 'k=v~58256b07')
    """
    text = read_text(value)
    if not isinstance(text, str) or len(text) <= SUBJECT_LENGTH_MAX:
        return text
    digest = "~" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()
    return text[: SUBJECT_LENGTH_MAX - len(digest)] + digest


def _cut_summary(value: Any) -> Any:
    return value[:SUMMARY_LENGTH_MAX] if isinstance(value, str) else value


SentLabel = Annotated[Label, BeforeValidator(read_label), WithJsonSchema(_TEXT_TYPES, mode="validation")]
SentId = Annotated[
    Label,
    Field(min_length=1),
    BeforeValidator(read_label),
    WithJsonSchema(_TEXT_TYPES | {"minLength": 1}, mode="validation"),
]
SentSubject = Annotated[Subject, BeforeValidator(read_text)]
SentSummary = Annotated[
    str,
    Field(max_length=SUMMARY_LENGTH_MAX),
    BeforeValidator(_cut_summary),
    WithJsonSchema({"type": "string"}, mode="validation"),
]

_KIND_SCHEMA = {**_TEXT_TYPES, "examples": list(get_args(DeploymentKind))}
_ONE_SUBJECT = {"type": "string", "minLength": 1, "maxLength": SUBJECT_LENGTH_MAX, "pattern": SUBJECT_PATTERN}
_SUBJECT_SCHEMA = {
    "anyOf": [
        {"type": "null"},
        {"type": ["number", "boolean"]},
        _ONE_SUBJECT,
        {
            "type": "array",
            "items": {"anyOf": [{"type": ["number", "boolean"]}, _ONE_SUBJECT]},
            "minItems": 1,
            "maxItems": SUBJECTS_MAX,
        },
    ]
}


class _Subjects(Message):
    subject: list[SentSubject] = Field(min_length=1, max_length=SUBJECTS_MAX)


class Deployment(Message):
    """Change that affects a ``subject``, or all subjects of an ``environment`` or ``provider``, or everything.

    A message may have a list of subjects, which is read as one deployment per subject. Numbers and booleans are read as
    text, a kind in any case, and long texts are cut.
    """

    version: Version = 1
    deployment_id: SentId = Field(description="Id of the deployment in the system that reports it.")
    timestamp: Timestamp = Field(description="Time at which the change took effect.")
    kind: Annotated[DeploymentKind, WithJsonSchema(_KIND_SCHEMA, mode="validation")] = Field(
        description="Kind of change. code is a release of the service itself. An unknown kind is read as other."
    )
    kind_original: SentLabel | None = Field(
        default=None, description="Original kind, if it is unknown and was read as other."
    )
    subject: Annotated[SentSubject | None, WithJsonSchema(_SUBJECT_SCHEMA, mode="validation")] = Field(
        default=None,
        description="Subject that the change affects, or a list of subjects. Without a subject, environment "
        "or provider, the change affects everything.",
    )
    environment: SentLabel | None = Field(default=None, description="Environment that the change affects.")
    provider: SentLabel | None = Field(default=None, description="Provider whose models the change affects.")
    name: SentLabel | None = Field(
        default=None, description="Name of the flag, package or other component, if there are several of that kind."
    )
    from_version: SentLabel | None = Field(default=None, description="Version before the change.")
    to_version: SentLabel | None = Field(default=None, description="Version after the change.")
    rollback_of: SentLabel | None = Field(
        default=None, description="Id of the deployment that this deployment reverts."
    )
    expect_shift: list[Label] = Field(
        default_factory=list, max_length=ITEMS_MAX, description="Signals that this deployment changes on purpose."
    )
    summary: SentSummary | None = Field(default=None, description="What changed, in a sentence for people.")
    author: SentLabel | None = Field(default=None, description="Name that the client gave. Kafka does not check it.")

    @property
    def scope(self) -> tuple[str | None, str | None, str | None]:
        """Subject, environment and provider. Deployments of different subjects may have the same id."""
        return (self.subject, self.environment, self.provider)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> list[Self]:
        """Read the deployments of a decoded message, one per subject.

        Raises
        ------
        pydantic.ValidationError
            If the content does not fit the contract.

        >>> sent = {"deployment_id": 7, "timestamp": 1795489920123, "kind": "Index", "subject": ["chat", "search"]}
        >>> [(one.deployment_id, one.kind, one.subject) for one in Deployment.read(sent)]
        [('7', 'index', 'chat'), ('7', 'index', 'search')]
        """
        subjects = content.get("subject")
        if isinstance(subjects, list):
            names = _Subjects.model_validate({"subject": subjects}).subject
            return [cls.model_validate({**content, "subject": name}) for name in dict.fromkeys(names)]
        return [cls.model_validate(content)]

    @model_validator(mode="before")
    @classmethod
    def _read_kind(cls, content: Any) -> Any:
        if not isinstance(content, Mapping) or "kind" not in content:
            return content
        sent = read_text(content["kind"])
        if not isinstance(sent, str):
            return content
        kind = sent.strip().lower().replace("-", "_").replace(" ", "_")
        if kind in get_args(DeploymentKind):
            return {**content, "kind": kind}
        return {**content, "kind": "other", "kind_original": content.get("kind_original") or sent}
