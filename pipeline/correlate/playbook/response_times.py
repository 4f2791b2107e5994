"""Response times by severity: the defaults of the playbook, and the overrides of the configuration."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from schemas.incident import Severity

_MINUTE_S, _HOUR_S = 60.0, 3_600.0
_LONGEST_S = 90 * 24 * _HOUR_S


def _seconds(description: str) -> Any:
    return Field(default=None, ge=0, le=_LONGEST_S, description=description)


class ResponseTimes(BaseModel):
    """Response times for one severity. Times that are not set default to those of the playbook."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    severity: Severity = Field(description="Severity that the times apply to.")
    classify_s: float | None = _seconds(
        "Seconds from the detection until somebody has acknowledged or classified the incident, or acted on it."
    )
    commander_s: float | None = _seconds("Seconds until the incident has a commander.")
    contain_s: float | None = _seconds(
        "Seconds until the incident is mitigated, rolled back or switched off. 0 means at once."
    )
    first_communication_s: float | None = _seconds("Seconds until the first communication to leadership.")
    next_communication_s: float | None = Field(
        default=None,
        ge=60,
        le=_LONGEST_S,
        description="Seconds from one communication to the next while the incident is open.",
    )
    fix_business_days: float | None = Field(
        default=None, gt=0, le=365, description="Business days until the incident is resolved."
    )
    review_s: float | None = _seconds("Seconds from the resolution until the review.")

    @classmethod
    def from_playbook(cls, severity: Severity) -> "ResponseTimes":
        """Return the response times of the playbook for a severity."""
        return _PLAYBOOK[severity]

    @classmethod
    def from_configuration(cls, severity: Severity, configured: Iterable["ResponseTimes"]) -> "ResponseTimes":
        """Return the response times of the playbook for a severity, overridden by the configuration.

        >>> override = ResponseTimes(severity="P1", first_communication_s=900)
        >>> ResponseTimes.from_configuration("P1", [override]).first_communication_s
        900.0
        """
        overrides = {
            name: value
            for times in configured
            if times.severity == severity
            for name, value in times
            if value is not None
        }
        return _PLAYBOOK[severity].model_copy(update=overrides)


_PLAYBOOK: Mapping[Severity, ResponseTimes] = {
    "P1": ResponseTimes(
        severity="P1",
        classify_s=15 * _MINUTE_S,
        commander_s=15 * _MINUTE_S,
        contain_s=0,
        first_communication_s=30 * _MINUTE_S,
        next_communication_s=30 * _MINUTE_S,
        review_s=72 * _HOUR_S,
    ),
    "P2": ResponseTimes(
        severity="P2",
        classify_s=15 * _MINUTE_S,
        commander_s=15 * _MINUTE_S,
        contain_s=2 * _HOUR_S,
        first_communication_s=_HOUR_S,
        next_communication_s=30 * _MINUTE_S,
        review_s=72 * _HOUR_S,
    ),
    "P3": ResponseTimes(severity="P3", classify_s=15 * _MINUTE_S, fix_business_days=1),
    "P4": ResponseTimes(severity="P4", classify_s=15 * _MINUTE_S, fix_business_days=10),
}
"""Response times by severity. A sprint of 14 days has 10 business days."""
