"""Duties to notify: which rows of ``duties.toml`` an incident calls for a decision about, and by when.

Nothing here says that a duty exists. It says that one may, what it would ask for, and until when.
"""

import tomllib
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.correlate.playbook.failure_modes import MODES
from pipeline.wording import did_you_mean
from schemas.incident import Severity

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000

Text = Annotated[str, Field(min_length=1, max_length=500)]


class DutyRow(BaseModel):
    """One row of the table: when it may apply, what it asks for by when, and where that is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    regime: str = Field(pattern=r"^[a-z0-9_]{1,50}$")
    name: Text
    failure_modes: tuple[str, ...] = ()
    severities: tuple[Severity, ...] = ()
    hours: int | None = Field(default=None, ge=1)
    days: int | None = Field(default=None, ge=1)
    to: Text
    text: Text
    source: Text
    read: date

    @field_validator("failure_modes")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in MODES:
                raise ValueError(f'no failure mode is called "{name}": {did_you_mean(name, MODES)}')
        return names

    @model_validator(mode="after")
    def _is_about_something(self) -> "DutyRow":
        if not self.failure_modes and not self.severities:
            raise ValueError("a duty needs failure_modes, severities or both")
        if self.hours is not None and self.days is not None:
            raise ValueError("a deadline is in hours or in days")
        return self

    @property
    def deadline_ms(self) -> int | None:
        """Milliseconds from the detection; None: as soon as practicable."""
        if self.hours is not None:
            return self.hours * _HOUR_MS
        return None if self.days is None else self.days * _DAY_MS


@cache
def duty_rows() -> tuple[DutyRow, ...]:
    """The table that comes with the product."""
    text = files("pipeline.correlate.playbook").joinpath("duties.toml").read_text("utf-8")
    return tuple(DutyRow.model_validate(row) for row in tomllib.loads(text)["duty"])


def known_regimes() -> list[str]:
    """The names that ``correlate.regimes`` may hold.

    >>> known_regimes()
    ['apra_cps_230', 'apra_cps_234', 'au_privacy', 'gdpr']
    """
    return sorted({row.regime for row in duty_rows()})
