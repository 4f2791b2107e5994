"""Severity of an incident, decided by a table of named rules and adjustments with reasons."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.correlate.playbook import failure_modes, phrases
from pipeline.correlate.severity.adjustment import SeverityAdjustment
from pipeline.correlate.severity.rule import SLA, DriftConditions, SeverityRule
from pipeline.correlate.severity.table import SeverityTable
from pipeline.wording import normal_phrase, quantity
from schemas.drift import Drift
from schemas.incident import Severity

SEVERITIES: tuple[Severity, ...] = ("P1", "P2", "P3", "P4")
"""Worst first."""

SLAs = Mapping[tuple[str, str], SLA]
"""SLAs by subject and signal."""

NO_RULE = SeverityRule(
    name="no_rule",
    severity="P4",
    reason="no severity rule applies, so the lowest severity is assumed: classify the incident",
)
"""Rule that decides if no other rule applies."""


@dataclass(frozen=True, slots=True)
class SeverityDecision:
    """A severity, the rule that decided it, and the drift that the incident is named after.

    ``adjusted_by`` is the name of the adjustment that changed the rule's severity by one step, if any.
    """

    severity: Severity
    rule: str
    reason: str
    drift: Drift
    adjusted_by: str | None = None
    adjustment_reason: str = ""

    @property
    def full_reason(self) -> str:
        """The reason for the severity with the drift's numbers, followed by the reason for the adjustment."""
        drift = self.drift
        now = quantity(drift.now, drift.unit, drift.channel)
        normal = normal_phrase(drift.normal, drift.unit, drift.channel)
        adjustment = f"; {self.adjustment_reason}" if self.adjustment_reason else ""
        measured = phrases.describe_measurement(drift)
        return f"{self.reason} ({drift.signal} {now} {measured}, {normal}){adjustment}"

    def dump(self) -> list[Any]:
        """Return the state as JSON-compatible values."""
        drift = self.drift.model_dump(exclude_none=True)
        return [self.severity, self.rule, self.reason, drift, self.adjusted_by, self.adjustment_reason]

    @classmethod
    def load(cls, state: Sequence[Any]) -> "SeverityDecision":
        """Restore a state that :meth:`dump` returned."""
        severity, rule, reason, drift, *adjustment = state
        return cls(severity, rule, reason, Drift.model_validate(drift), *adjustment)


def decide_severity(table: SeverityTable, drifts: Sequence[Drift], slas: SLAs | None = None) -> SeverityDecision:
    """Decide the severity of an incident.

    Parameters
    ----------
    table
        Its rules are evaluated in order, and the first that applies decides. The adjustments that apply are weighed
        against each other and change that severity by at most one step. The severity of a failure that can harm people
        is never lowered. The severity of a small failure is not lowered below the severity of the rest of the incident.
    drifts
        The firing drifts of the incident, at least one.
    slas
        The SLAs of the subjects.

    Returns
    -------
    SeverityDecision
        The incident is named after the drift that matches the rule and whose failure mode comes first in the table.
        Ties are broken by page tier before ticket tier, full subject before segment, typical value before its tails,
        and earliest start.
    """
    layers = sorted({drift.layer for drift in drifts if drift.tier == "page"})
    return _decide(table, drifts, slas or {}, layers)


def traffic_share(drifts: Iterable[Drift]) -> float:
    """Return the share (0 to 1) of a subject's requests that the given drifts affect.

    Segments of one dimension have no request in common, so their shares add up. Segments of different dimensions may
    contain the same requests.
    """
    shares: dict[str, dict[str, float]] = {}
    for drift in drifts:
        dimension = drift.segment.partition("=")[0]
        segments = shares.setdefault(dimension, {})
        segments[drift.segment] = max(drift.traffic_share, segments.get(drift.segment, 0.0))
    return min(1.0, max((sum(segments.values()) for segments in shares.values()), default=0.0))


def matches_conditions(conditions: DriftConditions, drift: Drift, slas: SLAs) -> bool:
    """Return whether one drift meets the conditions of a rule."""
    if conditions.failure_modes and failure_modes.failure_mode_of(drift).name not in conditions.failure_modes:
        return False
    if conditions.signals and drift.signal not in conditions.signals:
        return False
    if conditions.layers and drift.layer not in conditions.layers:
        return False
    if conditions.tier is not None and drift.tier != conditions.tier:
        return False
    if drift.channel == "shape" and conditions.is_about_value:
        return False  # Its numbers are shares of the records, not values of the signal.
    if conditions.minimum_now is not None and drift.now < conditions.minimum_now:
        return False
    return (
        _matches_effect(conditions, drift)
        and _matches_ratio(conditions, drift)
        and _matches_sla(conditions, drift, slas)
    )


def is_worse(one: Severity, other: Severity) -> bool:
    """Return whether one severity is worse than another.

    >>> is_worse("P1", "P3"), is_worse("P3", "P3")
    (True, False)
    """
    return SEVERITIES.index(one) < SEVERITIES.index(other)


def adjust_severity(severity: Severity, steps: int) -> Severity:
    """Return the severity that is worse by ``steps``, or milder if ``steps`` is negative, limited to P1 to P4.

    >>> adjust_severity("P3", 1), adjust_severity("P3", -1), adjust_severity("P4", -1)
    ('P2', 'P4', 'P4')
    """
    return SEVERITIES[min(max(SEVERITIES.index(severity) - steps, 0), len(SEVERITIES) - 1)]


def _decide(table: SeverityTable, drifts: Sequence[Drift], slas: SLAs, layers: Sequence[str]) -> SeverityDecision:
    rule, matching = NO_RULE, list(drifts)
    for candidate in table.rules:
        if found := [drift for drift in drifts if matches_conditions(candidate.when, drift, slas)]:
            rule, matching = candidate, found
            break
    drift, share = min(matching, key=_naming_key), traffic_share(matching)
    adjustments = [
        adjustment
        for adjustment in table.adjustments
        if rule.severity in adjustment.severities and adjustment.when.matches(share, len(layers))
    ]
    if any(adjustment.steps < 0 for adjustment in adjustments):
        matching_ids = {id(match) for match in matching}
        other_drifts = [other for other in drifts if id(other) not in matching_ids]
        is_harmful = any(failure_modes.failure_mode_of(match).is_harmful for match in matching)
        if is_harmful or (
            other_drifts
            and is_worse(_decide(table, other_drifts, slas, layers).severity, adjust_severity(rule.severity, -1))
        ):
            adjustments = [adjustment for adjustment in adjustments if adjustment.steps > 0]
    steps = min(max(sum(adjustment.steps for adjustment in adjustments), -1), 1)
    severity = adjust_severity(rule.severity, steps)
    if severity == rule.severity:
        return SeverityDecision(severity, rule.name, rule.reason, drift)
    adjustment = next(adjustment for adjustment in adjustments if adjustment.steps == steps)
    why = _describe_adjustment(adjustment, share, layers)
    return SeverityDecision(severity, rule.name, rule.reason, drift, adjustment.name, why)


def _describe_adjustment(adjustment: SeverityAdjustment, share: float, layers: Sequence[str]) -> str:
    numbers = []
    if adjustment.when.below_traffic_share is not None:
        numbers.append(f"{quantity(share, '', 'rate')} of the requests")
    if adjustment.when.minimum_layers is not None:
        numbers.append(", ".join(layers))
    verb = "lowered" if adjustment.to == "milder" else "raised"
    return f"{verb} one step by {adjustment.name}: {adjustment.reason} ({'; '.join(numbers)})"


def _naming_key(drift: Drift) -> tuple[int, bool, bool, bool, int, str]:
    is_typical_value = drift.channel in ("rate", "location")
    return (
        failure_modes.naming_rank(failure_modes.failure_mode_of(drift)),
        drift.tier != "page",
        bool(drift.segment),
        not is_typical_value,
        drift.started_at,
        drift.drift_id,
    )


def _matches_effect(conditions: DriftConditions, drift: Drift) -> bool:
    if not conditions.minimum_effect:
        return True
    minimum = conditions.minimum_effect.get(drift.effect_kind)
    if minimum is None:
        return False
    if drift.effect_kind == "rank_shift":
        return abs(drift.effect) >= minimum
    # Ratios are compared on a logarithmic scale, where one third is as far from one as three is.
    return drift.effect >= minimum or (0 <= drift.effect <= 1 / minimum if minimum > 0 else True)


def _matches_ratio(conditions: DriftConditions, drift: Drift) -> bool:
    if conditions.minimum_ratio is None and conditions.maximum_ratio is None:
        return True
    if drift.normal <= 0:
        return False  # A ratio to zero or to a negative value has no meaning.
    ratio = drift.now / drift.normal
    return (conditions.minimum_ratio is None or ratio >= conditions.minimum_ratio) and (
        conditions.maximum_ratio is None or ratio <= conditions.maximum_ratio
    )


def _matches_sla(conditions: DriftConditions, drift: Drift, slas: SLAs) -> bool:
    if conditions.sla is None:
        return True
    sla = slas.get((drift.subject, drift.signal))
    return sla is not None and sla.is_broken(drift.now) == (conditions.sla == "broken")
