"""Severity adjustments, which make an incident one step milder or worse, depending on its blast radius.

Severity rules apply to single drifts, adjustments to all firing drifts of an incident. The adjustments that apply are
weighed against each other, and the severity changes by at most one step.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.incident import Severity


class BlastRadius(BaseModel):
    """Conditions on the blast radius of an incident. All conditions must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    below_traffic_share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of the subject's requests. The adjustment applies if a smaller share is affected, that is, if "
        "all drifts that match the rule are in small segments.",
    )
    minimum_layers: int | None = Field(
        default=None, ge=2, le=6, description="Minimum number of layers with a page-tier drift in the incident."
    )

    @model_validator(mode="after")
    def _has_a_condition(self) -> "BlastRadius":
        if self.below_traffic_share is None and self.minimum_layers is None:
            raise ValueError('sets no condition; set "below_traffic_share", "minimum_layers" or both')
        return self

    def matches(self, traffic_share: float, layers: int) -> bool:
        """Return whether an incident that affects this share of the requests and this number of layers matches."""
        is_small = self.below_traffic_share is None or traffic_share < self.below_traffic_share
        return is_small and (self.minimum_layers is None or layers >= self.minimum_layers)


class SeverityAdjustment(BaseModel):
    """A severity adjustment. The severity of a failure that can harm people is never lowered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100, description="Name of the adjustment.")
    to: Literal["milder", "worse"] = Field(description="Direction in which the severity is adjusted, by one step.")
    severities: tuple[Severity, ...] = Field(
        min_length=1, description="Severities from the rules to which the adjustment applies."
    )
    reason: str = Field(min_length=1, max_length=300, description="Reason that is shown for the adjustment.")
    when: BlastRadius = Field(description="Conditions on the blast radius of the incident. All must hold.")

    @property
    def steps(self) -> int:
        """Return 1 for one step towards P1, or -1 for one step away from P1."""
        return 1 if self.to == "worse" else -1
