"""Notification duties: the rows of ``duties.toml``, each with its deadline and the incidents that it may apply to.

A row describes a duty that may apply: its content and its deadline. It never states that the duty does apply.
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

DutyText = Annotated[str, Field(min_length=1, max_length=500)]


class DutyRow(BaseModel):
    """Row of the table: the conditions of the duty, its content, its deadline and its source."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    regime: str = Field(pattern=r"^[a-z0-9_]{1,50}$")
    name: DutyText
    failure_modes: tuple[str, ...] = ()
    severities: tuple[Severity, ...] = ()
    hours: int | None = Field(default=None, ge=1)
    days: int | None = Field(default=None, ge=1)
    to: DutyText
    text: DutyText
    source: DutyText
    read: date

    @field_validator("failure_modes")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in MODES:
                raise ValueError(f'unknown failure mode "{name}"; {did_you_mean(name, MODES)}')
        return names

    @model_validator(mode="after")
    def _has_conditions_and_one_deadline(self) -> "DutyRow":
        if not self.failure_modes and not self.severities:
            raise ValueError('sets no condition; set "failure_modes", "severities" or both')
        if self.hours is not None and self.days is not None:
            raise ValueError('sets two deadlines; set "hours" or "days", not both')
        return self

    @property
    def deadline_ms(self) -> int | None:
        """Milliseconds from the detection to the deadline. None means as soon as practicable."""
        if self.hours is not None:
            return self.hours * _HOUR_MS
        return None if self.days is None else self.days * _DAY_MS

    @classmethod
    @cache
    def table(cls) -> tuple["DutyRow", ...]:
        """Return the built-in rows."""
        text = files("pipeline.correlate.playbook").joinpath("duties.toml").read_text("utf-8")
        return tuple(cls.model_validate(row) for row in tomllib.loads(text)["duty"])


def known_regimes() -> list[str]:
    """Return the names that ``correlate.regimes`` may contain.

    >>> known_regimes()
    ['apra_cps_230', 'apra_cps_234', 'au_privacy', 'gdpr']
    """
    return sorted({row.regime for row in DutyRow.table()})
