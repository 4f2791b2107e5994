"""The response table: how long each thing may take, by severity. The playbook's numbers, or those of the configuration."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from schemas.incident import Severity

_MINUTE_S, _HOUR_S = 60.0, 3_600.0
_LONGEST_S = 90 * 24 * _HOUR_S


def _seconds(description: str) -> Any:
    return Field(default=None, ge=0, le=_LONGEST_S, description=description)


class Response(BaseModel):
    """What is due after how long, for one severity. What is left out stays as the playbook has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    severity: Severity = Field(description="whose times these are")
    classify_s: float | None = _seconds("from the detection until somebody acknowledged, classified or took it up")
    commander_s: float | None = _seconds("until it has an incident commander")
    contain_s: float | None = _seconds("until it is mitigated, rolled back or switched off; 0: at once")
    first_communication_s: float | None = _seconds("until leadership was told for the first time")
    next_communication_s: float | None = Field(
        default=None, ge=60, le=_LONGEST_S, description="from one communication to the next, while it is open"
    )
    fix_business_days: float | None = Field(
        default=None, gt=0, le=365, description="until it is resolved, in business days"
    )
    review_s: float | None = _seconds("from the resolution until its review")


PLAYBOOK: Mapping[Severity, Response] = {
    "P1": Response(
        severity="P1",
        classify_s=15 * _MINUTE_S,
        commander_s=15 * _MINUTE_S,
        contain_s=0,
        first_communication_s=30 * _MINUTE_S,
        next_communication_s=30 * _MINUTE_S,
        review_s=72 * _HOUR_S,
    ),
    "P2": Response(
        severity="P2",
        classify_s=15 * _MINUTE_S,
        commander_s=15 * _MINUTE_S,
        contain_s=2 * _HOUR_S,
        first_communication_s=_HOUR_S,
        next_communication_s=30 * _MINUTE_S,
        review_s=72 * _HOUR_S,
    ),
    "P3": Response(severity="P3", classify_s=15 * _MINUTE_S, fix_business_days=1),
    "P4": Response(severity="P4", classify_s=15 * _MINUTE_S, fix_business_days=10),
}
"""The playbook's table. A sprint of 14 days has 10 business days."""


def response_of(severity: Severity, configured: Iterable[Response]) -> Response:
    """What is due at a severity: the playbook's row, with what the configuration says otherwise of it.

    >>> response_of("P1", [Response(severity="P1", first_communication_s=900)]).first_communication_s
    900.0
    """
    said = {
        name: value for each in configured if each.severity == severity for name, value in each if value is not None
    }
    return PLAYBOOK[severity].model_copy(update=said)
