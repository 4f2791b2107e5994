"""What happens to the assistant in an event: stages of its conditions, changes of its records, disturbances of messages."""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from load.world import noise


class EventModel(BaseModel):
    """Base class of the parts of an event. Unknown keys are errors, and instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Stage(EventModel):
    """Conditions of the service during a part of an event. The defaults are its healthy conditions."""

    after_min: float = Field(default=0.0, description="Minutes from the event to the start of the stage.")
    for_min: float = Field(default=1e6, gt=0, description="Minutes that the stage lasts. By default, it does not end.")
    traffic: float = Field(default=1.0, ge=0, description="Factor applied to the requests of all people.")
    as_weekend: bool = Field(default=False, description="Whether people behave as at weekends.")
    clock_shift_h: float = Field(default=0.0, description="Hours by which people are earlier, as in summer time.")
    absent_tenant: str = Field(default="", description="Tenant that sends no requests.")
    new_tenant: float = Field(default=0.0, ge=0, description="Share of requests of a tenant that did not exist before.")
    cron: float = Field(default=1.0, ge=0, description="Factor applied to the requests of cron jobs.")
    batch: float = Field(default=1.0, ge=0, description="Factor applied to the requests of the nightly batch.")
    batch_shift_h: float = Field(default=0.0, description="Hours by which the nightly batch runs later.")
    cache: float = Field(default=0.18, ge=0, le=1, description="Share of the answers that come from the cache.")
    feedback: float = Field(default=1.0, ge=0, description="Factor applied to the share of answers that are rated.")
    rebuild_late_h: float = Field(default=0.0, ge=0, description="Hours by which rebuilds in the stage end later.")
    stale_share: float = Field(
        default=0.0, ge=0, le=1, description="Share of the servers that do not load the index of a nightly rebuild."
    )


class Where(EventModel):
    """Records that the changes of an event affect. All conditions must be true."""

    tenant: str = ""
    share: float = Field(default=1.0, gt=0, le=1, description="Share of the records, selected at random.")
    from_model: bool = Field(default=False, description="Only answers that do not come from the cache.")
    above: dict[str, float] = Field(default_factory=dict, description="Only records whose value is above a limit.")
    versions: dict[str, str] = Field(default_factory=dict, description="Versions that the affected records get.")


class Change(EventModel):
    """Change of one signal or label in the affected records.

    ``probability`` is the new probability of a rate, ``factor`` multiplies a value, ``offset`` is added, ``constant``
    replaces a value, ``cap`` limits it, ``spread`` is added or subtracted at random, ``per_hour`` grows, ``label``
    replaces a label, and ``absent`` removes the value.
    """

    signal: str
    how: Literal["probability", "factor", "offset", "constant", "cap", "spread", "per_hour", "label", "absent"]
    amount: float = 0.0
    label: str = ""
    share: float = Field(default=1.0, gt=0, le=1, description="Share of the affected records that change.")
    ramp_min: float = Field(default=0.0, ge=0, description="Minutes until the change has its full size.")
    after_min: float = Field(default=0.0, ge=0, description="Minutes from the event to the start of the change.")
    for_min: float = Field(default=1e6, gt=0, description="Minutes that the change lasts. By default, it does not end.")

    def strength(self, since_min: noise.Floats) -> noise.Floats:
        """Return the strength of the change, from 0 to 1, at times in minutes since the event."""
        since = since_min - self.after_min
        ramp = np.clip(since / self.ramp_min, 0.0, 1.0) if self.ramp_min else (since >= 0).astype(float)
        return ramp * (since < self.for_min)


class Disturbances(EventModel):
    """Disturbances of messages in transit, from the event on, while the service itself is healthy."""

    for_min: float = Field(default=1e6, gt=0, description="Minutes that the disturbances last.")
    twice: float = Field(default=0.0, ge=0, le=1, description="Share of the records that is sent twice.")
    late_s: float = Field(default=0.0, ge=0, description="Maximum lateness of a late record, in seconds.")
    late_share: float = Field(default=0.0, ge=0, le=1, description="Share of the records that is late.")
    skew_s: float = Field(default=0.0, description="Seconds by which the clock of every tenth record is wrong.")
    broken: float = Field(default=0.0, ge=0, le=1, description="Share of the messages that is cut in the middle.")
    text: float = Field(default=0.0, ge=0, le=1, description="Share of the records whose latency is text with a unit.")
    long_embedding: bool = Field(default=False, description="Whether embeddings have twice as many numbers.")
    other_embedding: bool = Field(default=False, description="Whether embeddings point in another direction.")
    storm: int = Field(default=0, ge=0, description="Number of failed retries of one client within two seconds.")
    evaluations: int = Field(default=0, ge=0, description="Number of evaluations that arrive within a minute.")
    absurd: bool = Field(default=False, description="Whether one record has absurd values.")
    without_probes: bool = Field(default=False, description="Whether no probes arrive.")
    open_probes: bool = Field(default=False, description="Whether known-bad prompts are no longer blocked.")
