"""Severity rules: conditions, severity and reason. They are read from ``rules.toml`` or the configuration."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.correlate.playbook import failure_modes
from pipeline.wording import did_you_mean
from schemas.drift import Layer
from schemas.incident import Severity

RuleTier = Literal["page", "ticket"]
EffectKind = Literal["odds_ratio", "rank_shift", "ratio"]


class DriftConditions(BaseModel):
    """Conditions on one drift. All conditions must hold. An omitted condition matches anything.

    A rule applies to an incident if one drift of the incident matches.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    failure_modes: tuple[str, ...] = Field(
        default=(), description="Failure modes, as named in docs/runbooks. An empty list matches any failure mode."
    )
    signals: tuple[str, ...] = Field(
        default=(), description="Signals, as named in docs/signals.md. An empty list matches any signal."
    )
    layers: tuple[Layer, ...] = Field(default=(), description="Layers of the signal. An empty list matches any layer.")
    tier: RuleTier | None = Field(default=None, description="Tier of the drift, page or ticket. If absent, both match.")
    minimum_effect: dict[EffectKind, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict,
        description="Minimum effect in either direction, by kind of effect. If any kind is given, drifts of other kinds "
        "do not match.",
    )
    minimum_now: float | None = Field(default=None, description="Minimum current value of the signal, in its own unit.")
    minimum_ratio: float | None = Field(default=None, ge=0, description="Minimum ratio of the current value to normal.")
    maximum_ratio: float | None = Field(default=None, ge=0, description="Maximum ratio of the current value to normal.")
    sla: Literal["broken", "kept"] | None = Field(
        default=None,
        description="Whether the limit in correlate.sla for the signal is broken or kept. If absent, any "
        "drift matches.",
    )

    @property
    def is_about_value(self) -> bool:
        """Whether any condition is about the value of the signal."""
        limits = (self.minimum_now, self.minimum_ratio, self.maximum_ratio, self.sla)
        return any(limit is not None for limit in limits)

    @field_validator("failure_modes")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in failure_modes.MODES:
                raise ValueError(f'unknown failure mode "{name}"; {did_you_mean(name, failure_modes.MODES)}')
            if failure_modes.MODES[name].is_composed:
                signatures = failure_modes.MODES[name].signatures
                parts = sorted(
                    {part for signature in signatures for part in signature.moving} & set(failure_modes.MODES)
                )
                raise ValueError(
                    f'"{name}" is recognised from several drifts, but a rule is evaluated on a single drift: use {", ".join(parts)}'
                )
        return names


class SLA(BaseModel):
    """An SLA: the promised limits of a subject's signal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: Annotated[str, Field(min_length=1, max_length=200, description="Subject that the limit was promised for.")]
    signal: Annotated[
        str,
        Field(min_length=1, max_length=200, description="Name of the signal. The limits apply to its mean or median."),
    ]
    maximum: float | None = Field(default=None, description="Largest value within the SLA, in the unit of the signal.")
    minimum: float | None = Field(default=None, description="Smallest value within the SLA, in the unit of the signal.")

    @model_validator(mode="after")
    def _has_a_limit(self) -> "SLA":
        if self.maximum is None and self.minimum is None:
            raise ValueError('sets no limit; set "maximum", "minimum" or both')
        return self

    def is_broken(self, now: float) -> bool:
        """Return whether a value of the signal breaks the SLA."""
        return (self.maximum is not None and now > self.maximum) or (self.minimum is not None and now < self.minimum)


class SeverityRule(BaseModel):
    """A severity rule. Rules are evaluated in order, and the first that applies decides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100, description="Name of the rule.")
    severity: Severity = Field(description="Severity that the rule assigns.")
    reason: str = Field(min_length=1, max_length=500, description="Reason that is shown for the severity.")
    when: DriftConditions = Field(
        default=DriftConditions(), description="Conditions on one drift of the incident. All must hold."
    )
