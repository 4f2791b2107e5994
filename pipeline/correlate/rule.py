"""A severity rule: when it applies, which severity it gives, and why. Plain data, from ``rules.toml`` or the configuration."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.correlate.modes import MODES, nearest
from schemas.drift import Layer
from schemas.incident import Severity

RuleTier = Literal["page", "ticket"]
EffectKind = Literal["odds_ratio", "rank_shift", "ratio"]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class When(BaseModel):
    """What must hold of one drift, all of it; what is left out does not matter.

    A rule applies to an incident if one of its drifts fits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    failure_modes: tuple[str, ...] = Field(default=(), description="names of docs/runbooks; empty: any")
    layers: tuple[Layer, ...] = Field(default=(), description="layers of the signal; empty: any")
    tier: RuleTier | None = Field(default=None, description="page or ticket; absent: either")
    minimum_effect: dict[EffectKind, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="by kind of effect, either way; kinds left out never fit if any is given"
    )
    minimum_now: float | None = Field(default=None, description="the signal is at least this, in its own unit")
    minimum_ratio: float | None = Field(default=None, ge=0, description="now is at least this many times normal")
    maximum_ratio: float | None = Field(default=None, ge=0, description="now is at most this many times normal")
    sla: Literal["broken", "kept"] | None = Field(
        default=None,
        description="what correlate.sla promises of the signal is broken, or kept; absent: does not matter",
    )

    @field_validator("failure_modes")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in MODES:
                raise ValueError(f'no failure mode is called "{name}": did you mean "{nearest(name, MODES)}"?')
            if MODES[name].is_composed:
                parts = sorted({part for each in MODES[name].together for part in each.moved if part in MODES})
                raise ValueError(f'"{name}" is told by several drifts, and a rule asks one: name {", ".join(parts)}')
        return names


class Promise(BaseModel):
    """What was promised of a subject: how far one of its signals may go."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: Annotated[str, Field(min_length=1, max_length=200, description="whose users were promised it")]
    signal: Annotated[
        str, Field(min_length=1, max_length=200, description="a signal's name: its mean, or median, counts")
    ]
    maximum: float | None = Field(default=None, description="it is more than this, in its own unit: broken")
    minimum: float | None = Field(default=None, description="it is less than this, in its own unit: broken")

    @model_validator(mode="after")
    def _promises_something(self) -> "Promise":
        if self.maximum is None and self.minimum is None:
            raise ValueError('it promises nothing: give "maximum", "minimum" or both')
        return self

    def is_broken(self, now: float) -> bool:
        """Whether a signal that is so now breaks it."""
        return (self.maximum is not None and now > self.maximum) or (self.minimum is not None and now < self.minimum)


class Rule(BaseModel):
    """One row of the table. Rules are asked in order; the first that applies decides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    severity: Severity
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    when: When = When()
