"""A move of severity: how many are hit and how much of it fails make an incident one step milder or worse. Plain data.

The rules look at how bad a single signal is; the moves look at all of them together. Those that apply are weighed against
each other, and what is left moves the severity by one step at most.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.incident import Severity


class Reach(BaseModel):
    """What must hold of the failing drifts together, all of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    below_traffic_share: float | None = Field(
        default=None, gt=0, le=1,
        description="fewer of the subject's requests than this share are hit: all that fits the rule is in small segments",
    )  # fmt: skip
    minimum_layers: int | None = Field(
        default=None, ge=2, le=6, description="layers with a page-tier drift in the incident, at least"
    )

    @model_validator(mode="after")
    def _asks_something(self) -> "Reach":
        if self.below_traffic_share is None and self.minimum_layers is None:
            raise ValueError('it asks nothing: give "below_traffic_share", "minimum_layers" or both')
        return self

    def holds(self, traffic_share: float, layers: int) -> bool:
        """Whether so large a share of the requests, in so many layers, is what it asks for."""
        small = self.below_traffic_share is None or traffic_share < self.below_traffic_share
        return small and (self.minimum_layers is None or layers >= self.minimum_layers)


class Move(BaseModel):
    """One row of the table of moves. A failure that can harm people is never made milder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    to: Literal["milder", "worse"] = Field(description="which way, by one step")
    severities: tuple[Severity, ...] = Field(min_length=1, description="of the rule that decided: those that it moves")
    reason: Annotated[str, Field(min_length=1, max_length=300)]
    when: Reach

    @property
    def steps(self) -> int:
        """One towards P1, or one away from it."""
        return 1 if self.to == "worse" else -1
