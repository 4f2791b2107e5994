"""Severity: how bad an incident is, by a table of rules and moves as data, with their names and reasons."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.correlate.playbook import failure_modes
from pipeline.correlate.severity.adjustment import SeverityAdjustment
from pipeline.correlate.severity.rule import SLA, DriftConditions, SeverityRule
from pipeline.correlate.severity.table import SeverityTable
from pipeline.wording import quantity
from schemas.drift import Drift
from schemas.incident import Severity

SEVERITIES: tuple[Severity, ...] = ("P1", "P2", "P3", "P4")
"""Worst first."""

SLAs = Mapping[tuple[str, str], SLA]
"""By subject and signal, what was promised."""

NOTHING_APPLIES = SeverityRule(
    name="no_rule", severity="P4", reason="no severity rule applies: the least is assumed, please classify"
)
"""What decides when the rules given leave a gap."""


@dataclass(frozen=True, slots=True)
class SeverityDecision:
    """A severity with what gave it. ``drift`` is the one that the incident is named after.

    ``moved_by`` names the move that made it a step worse or milder than the rule says, and ``moved`` says why.
    """

    severity: Severity
    rule: str
    reason: str
    drift: Drift
    moved_by: str | None = None
    moved: str = ""

    @property
    def because(self) -> str:
        """The reason with the numbers behind it, and with that of a move."""
        drift = self.drift
        now, normal = (quantity(value, drift.unit, drift.channel) for value in (drift.now, drift.normal))
        moved = f"; {self.moved}" if self.moved else ""
        return f"{self.reason} ({drift.signal} {now}, normally {normal}){moved}"


def decide_severity(table: SeverityTable, drifts: Sequence[Drift], promises: SLAs | None = None) -> SeverityDecision:
    """The severity of an incident.

    Parameters
    ----------
    table
        Its rules are asked in order, and the first that applies decides. Its moves then shift that by one step at most: all
        that apply are weighed against each other. What can harm people is never made milder, nor is what is small while
        the rest of the incident is worse than that.
    drifts
        The firing drifts of the incident, at least one.
    promises
        By subject and signal, what was promised.

    Returns
    -------
    Decision
        Of the drifts that fit the rule, the one whose failure mode stands first in the table gives the name; then
        page tier before ticket tier, the whole subject before a segment, the usual value before its tails, the
        earliest start.
    """
    layers = sorted({drift.layer for drift in drifts if drift.tier == "page"})
    return _decided(table, drifts, promises or {}, layers)


def traffic_share(drifts: Iterable[Drift]) -> float:
    """The share of a subject's requests that some drifts are about, 0 to 1.

    Segments of one dimension share no request and add up; those of different dimensions may be the same requests.
    """
    shares: dict[str, dict[str, float]] = {}
    for drift in drifts:
        dimension = drift.segment.partition("=")[0]
        segments = shares.setdefault(dimension, {})
        segments[drift.segment] = max(drift.traffic_share, segments.get(drift.segment, 0.0))
    return min(1.0, max((sum(segments.values()) for segments in shares.values()), default=0.0))


def matches_rule(when: DriftConditions, drift: Drift, promises: SLAs) -> bool:
    """Whether one drift is what a rule asks for."""
    if when.failure_modes and failure_modes.failure_mode_of(drift).name not in when.failure_modes:
        return False
    if when.layers and drift.layer not in when.layers:
        return False
    if when.tier is not None and drift.tier != when.tier:
        return False
    if when.minimum_now is not None and drift.now < when.minimum_now:
        return False
    return _far_enough(when, drift) and _ratio_fits(when, drift) and _promise_fits(when, drift, promises)


def is_worse(one: Severity, other: Severity) -> bool:
    """Whether the one severity is worse than the other.

    >>> worse("P1", "P3"), worse("P3", "P3")
    (True, False)
    """
    return SEVERITIES.index(one) < SEVERITIES.index(other)


def adjust_severity(severity: Severity, steps: int) -> Severity:
    """A severity so many steps worse; milder where they are negative. It ends at P1 and P4.

    >>> shifted("P3", 1), shifted("P3", -1), shifted("P4", -1)
    ('P2', 'P4', 'P4')
    """
    return SEVERITIES[min(max(SEVERITIES.index(severity) - steps, 0), len(SEVERITIES) - 1)]


def _decided(table: SeverityTable, drifts: Sequence[Drift], promises: SLAs, layers: Sequence[str]) -> SeverityDecision:
    rule, fitting = NOTHING_APPLIES, list(drifts)
    for each in table.rules:
        if found := [drift for drift in drifts if matches_rule(each.when, drift, promises)]:
            rule, fitting = each, found
            break
    drift, share = min(fitting, key=_naming), traffic_share(fitting)
    moves = [move for move in table.moves if rule.severity in move.severities and move.when.holds(share, len(layers))]
    if any(move.steps < 0 for move in moves):
        fitted = {id(each) for each in fitting}
        rest = [each for each in drifts if id(each) not in fitted]
        is_harmful = any(failure_modes.failure_mode_of(each).is_harmful for each in fitting)
        if is_harmful or (
            rest and is_worse(_decided(table, rest, promises, layers).severity, adjust_severity(rule.severity, -1))
        ):
            moves = [move for move in moves if move.steps > 0]
    steps = min(max(sum(move.steps for move in moves), -1), 1)
    severity = adjust_severity(rule.severity, steps)
    if severity == rule.severity:
        return SeverityDecision(severity, rule.name, rule.reason, drift)
    move = next(move for move in moves if move.steps == steps)
    return SeverityDecision(severity, rule.name, rule.reason, drift, move.name, _moved(move, share, layers))


def _moved(move: SeverityAdjustment, share: float, layers: Sequence[str]) -> str:
    numbers = []
    if move.when.below_traffic_share is not None:
        numbers.append(f"{quantity(share, '', 'rate')} of the requests")
    if move.when.minimum_layers is not None:
        numbers.append(", ".join(layers))
    return f"one step {move.to} by {move.name}: {move.reason} ({'; '.join(numbers)})"


def _naming(drift: Drift) -> tuple[int, bool, bool, bool, int, str]:
    plain = drift.channel in ("rate", "location")
    return (
        failure_modes.naming_rank(failure_modes.failure_mode_of(drift)),
        drift.tier != "page",
        bool(drift.segment),
        not plain,
        drift.started_at,
        drift.drift_id,
    )


def _far_enough(when: DriftConditions, drift: Drift) -> bool:
    if not when.minimum_effect:
        return True
    least = when.minimum_effect.get(drift.effect_kind)
    if least is None:
        return False
    if drift.effect_kind == "rank_shift":
        return abs(drift.effect) >= least
    # Ratios are symmetric in their logarithm: a third is as far from one as three is.
    return drift.effect >= least or (0 <= drift.effect <= 1 / least if least > 0 else True)


def _ratio_fits(when: DriftConditions, drift: Drift) -> bool:
    if when.minimum_ratio is None and when.maximum_ratio is None:
        return True
    if drift.normal <= 0:
        return False  # A multiple of nothing, or of a negative score, says nothing.
    ratio = drift.now / drift.normal
    return (when.minimum_ratio is None or ratio >= when.minimum_ratio) and (
        when.maximum_ratio is None or ratio <= when.maximum_ratio
    )


def _promise_fits(when: DriftConditions, drift: Drift, promises: SLAs) -> bool:
    if when.sla is None:
        return True
    promise = promises.get((drift.subject, drift.signal))
    return promise is not None and promise.is_broken(drift.now) == (when.sla == "broken")
