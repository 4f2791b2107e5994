"""Settings of a webhook: who publishes it, how its sender is checked, and how its payload becomes deployments."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from pipeline.subject_rule import SubjectRule, is_subject
from pipeline.webhooks.entries import Condition, parse_deployment_field, require_deployment_field

WebhookKind = Literal["github", "argocd", "launchdarkly", "langfuse", "cdevents", "pagerduty", "generic"]
"""Publishers whose payloads are known. The generic webhook reads what its mapping names."""

DeploymentConstant = bool | int | float | str
"""A value that every deployment of a webhook gets."""

_SCOPES = ("environment", "provider")
_WITHOUT_ENVIRONMENT = ("argocd", "langfuse", "generic")
_TOKENS = ("argocd", "cdevents")
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,100}")


class WebhookSettings(BaseModel):
    """One webhook that driftwire receives at ``/v1/webhooks/NAME``.

    >>> settings = WebhookSettings(kind="github", secrets=["${GITHUB_WEBHOOK_SECRET}"], subjects=["{repository.name}"])
    >>> settings.replay_window_s
    300.0
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: WebhookKind = Field(
        description="Publisher: github, argocd, launchdarkly, langfuse, cdevents or pagerduty, or generic for any other."
    )
    secrets: tuple[SecretStr, ...] | None = Field(
        default=None,
        min_length=1,
        description="Secrets that the publisher may use: the key of its signature, or its token. During a rotation, give "
        "the old one and the new one. ${NAME} is replaced by the environment variable NAME.",
    )
    secrets_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with one secret per line, instead of secrets. It is read again for each request.",
    )
    signature: Literal["", "hmac", "token"] = Field(
        default="",
        description="How a generic webhook proves its sender: hmac, an HMAC-SHA256 of the body in hex or base64, or token, "
        "the secret itself.",
    )
    header: str = Field(
        default="",
        description="Header with the signature or token. Required for a generic webhook. Argo CD and CDEvents use "
        "Authorization with Bearer by default, and the other publishers have a header of their own.",
    )
    replay_window_s: float = Field(
        default=300.0,
        gt=0,
        le=3600,
        description="Maximum difference in seconds between the time that Langfuse signs and the arrival. Higher values "
        "tolerate slower networks and clocks, but a copied request can be sent again for longer.",
    )
    when: tuple[str, ...] = Field(
        default=(),
        description='Conditions such as "build.status=passed": a path in the payload and its value. Other payloads are '
        "ignored. Conditions on the same path are alternatives.",
    )
    subjects: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        max_length=1000,
        description='Subjects that the changes affect: names, or rules with sources in braces, such as "{repository.name}". '
        "Without subjects, a change affects its environment or provider.",
    )
    subject_table: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Subjects for each value of the rules in subjects. Changes with a value that is not in the table are "
        "ignored.",
    )
    label: str = Field(
        default="production",
        min_length=1,
        max_length=200,
        description="Label of a Langfuse prompt whose move is a deployment.",
    )
    map: tuple[str, ...] = Field(
        default=(),
        description='Sources of fields of the deployment, such as "build.version=to_version": a path in the payload and '
        "the field. They take precedence over what the publisher's payload means.",
    )
    constants: dict[str, DeploymentConstant] = Field(
        default_factory=dict, description='Values that every deployment gets, such as kind = "prompt".'
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.secrets is None) == (self.secrets_file is None):
            raise ValueError("set either secrets or secrets_file")
        self._check_signature()
        if self.kind == "pagerduty":
            self._check_commands()
        for text in self.when:
            Condition(text)
        for text in self.subjects:
            SubjectRule(text)
        self._check_table()
        fields = self._check_fields()
        if self.kind in _WITHOUT_ENVIRONMENT and not (self.subjects or fields & set(_SCOPES)):
            raise ValueError(
                f"a {self.kind} webhook names no environment: set subjects, or map a source to environment"
            )
        missing = [name for name in ("timestamp", "kind") if name not in fields] if self.kind == "generic" else []
        if missing:
            raise ValueError(
                f"map a source to {' and '.join(missing)}" + (", or set a constant" if missing == ["kind"] else "")
            )
        return self

    def _check_signature(self) -> None:
        if (self.kind == "generic") != bool(self.signature):
            raise ValueError("set signature for a generic webhook, and for no other")
        if self.kind == "generic" and not self.header:
            raise ValueError("set header to the name of the header with the signature or token")
        if self.header and self.kind not in (*_TOKENS, "generic"):
            raise ValueError(f"a {self.kind} webhook has a header of its own: remove header")
        if self.header and not _HEADER_NAME.fullmatch(self.header):
            raise ValueError("header must be the name of a header: letters, digits and hyphens")

    def _check_commands(self) -> None:
        unused = [name for name in ("subjects", "subject_table", "map", "constants") if getattr(self, name)]
        if unused:
            raise ValueError(f"a pagerduty webhook makes commands and no deployments: remove {' and '.join(unused)}")

    def _check_table(self) -> None:
        if self.subject_table and not self.subjects:
            raise ValueError('subject_table needs a rule in subjects, such as "{repository.name}"')
        for value, subjects in self.subject_table.items():
            if not subjects or not all(is_subject(subject) for subject in subjects):
                raise ValueError(f'subject_table "{value}": give one or more subjects')

    def _check_fields(self) -> set[str]:
        mapped: dict[str, str] = {}
        for text in self.map:
            entry = parse_deployment_field(text)
            if entry.field in mapped:
                raise ValueError(f'map "{text}": {entry.field} is also mapped to {mapped[entry.field]}')
            mapped[entry.field] = entry.source.text
        for name in self.constants:
            try:
                require_deployment_field(name)
            except ValueError as error:
                raise ValueError(f'constants "{name}": {error}') from None
            if name in mapped:
                raise ValueError(f'constants "{name}": the field is also mapped to {mapped[name]}')
            if name in ("deployment_id", "timestamp"):
                raise ValueError(f'constants "{name}": it differs between deployments')
        return {*mapped, *self.constants}
