"""Severity: how bad an incident is, by a table of rules as data, with the rule's name and reason."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from pydantic import ValidationError

from pipeline.correlate.modes import mode_of, nearest, rank
from pipeline.correlate.rule import Promise, Rule, When
from schemas.drift import Drift
from schemas.incident import Severity

SEVERITIES: tuple[Severity, ...] = ("P1", "P2", "P3", "P4")
"""Worst first."""

Promises = Mapping[tuple[str, str], Promise]
"""By subject and signal, what was promised."""

NOTHING_APPLIES = Rule(
    name="no_rule", severity="P4", reason="no severity rule applies: the least is assumed, please classify"
)
"""What decides when the rules given leave a gap."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A severity with what gave it. ``drift`` is the one that the incident is named after."""

    severity: Severity
    rule: str
    reason: str
    drift: Drift


def decide(rules: Iterable[Rule], drifts: Sequence[Drift], promises: Promises | None = None) -> Decision:
    """The severity of an incident.

    Parameters
    ----------
    rules
        Asked in order; the first that applies decides.
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
    layers = len({drift.layer for drift in drifts if drift.tier == "page"})
    for rule in rules:
        fitting = [drift for drift in drifts if fits(rule.when, drift, promises or {})]
        if fitting and (rule.when.minimum_layers == 1 or layers >= rule.when.minimum_layers):
            return Decision(rule.severity, rule.name, rule.reason, min(fitting, key=_naming))
    return Decision(NOTHING_APPLIES.severity, NOTHING_APPLIES.name, NOTHING_APPLIES.reason, min(drifts, key=_naming))


def fits(when: When, drift: Drift, promises: Promises) -> bool:
    """Whether one drift is what a rule asks for, its breadth of layers left aside."""
    if when.failure_modes and mode_of(drift).name not in when.failure_modes:
        return False
    if when.layers and drift.layer not in when.layers:
        return False
    if when.tier is not None and drift.tier != when.tier:
        return False
    if when.minimum_now is not None and drift.now < when.minimum_now:
        return False
    return _far_enough(when, drift) and _ratio_fits(when, drift) and _promise_fits(when, drift, promises)


def worse(one: Severity, other: Severity) -> bool:
    """Whether the one severity is worse than the other.

    >>> worse("P1", "P3"), worse("P3", "P3")
    (True, False)
    """
    return SEVERITIES.index(one) < SEVERITIES.index(other)


def default_rules() -> tuple[Rule, ...]:
    """The rules that come with the product."""
    return read_rules(files("pipeline.correlate").joinpath("rules.toml").read_text("utf-8"), "rules.toml")


def read_rules(text: str, source: str) -> tuple[Rule, ...]:
    """Read a table of rules.

    Raises
    ------
    ValueError
        With one line for each problem, naming the rule; an unknown key names the nearest known one.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ValueError(f"{source}: not TOML: {problem}") from None
    rows = content.pop("rule", [])
    problems = [f'{source}: unknown key "{key}": did you mean "rule"?' for key in content]
    rules: list[Rule] = []
    if not isinstance(rows, list) or not rows:
        problems.append(f"{source}: no rules: each is a table [[rule]]")
        rows = []
    for number, row in enumerate(rows, 1):
        try:
            rules.append(Rule.model_validate(row))
        except ValidationError as problem:
            problems += [f"{source}: rule {number}{_called(row)}: {line}" for line in _lines(problem)]
    names = [rule.name for rule in rules]
    problems += [
        f'{source}: two rules are called "{name}"' for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if problems:
        raise ValueError("\n".join(problems))
    return tuple(rules)


def _naming(drift: Drift) -> tuple[int, bool, bool, bool, int, str]:
    plain = drift.channel in ("rate", "location")
    return (
        rank(mode_of(drift)),
        drift.tier != "page",
        bool(drift.segment),
        not plain,
        drift.started_at,
        drift.drift_id,
    )


def _far_enough(when: When, drift: Drift) -> bool:
    if not when.minimum_effect:
        return True
    least = when.minimum_effect.get(drift.effect_kind)
    if least is None:
        return False
    if drift.effect_kind == "rank_shift":
        return abs(drift.effect) >= least
    # Ratios are symmetric in their logarithm: a third is as far from one as three is.
    return drift.effect >= least or (0 <= drift.effect <= 1 / least if least > 0 else True)


def _ratio_fits(when: When, drift: Drift) -> bool:
    if when.minimum_ratio is None and when.maximum_ratio is None:
        return True
    if drift.normal <= 0:
        return False  # A multiple of nothing, or of a negative score, says nothing.
    ratio = drift.now / drift.normal
    return (when.minimum_ratio is None or ratio >= when.minimum_ratio) and (
        when.maximum_ratio is None or ratio <= when.maximum_ratio
    )


def _promise_fits(when: When, drift: Drift, promises: Promises) -> bool:
    if when.sla is None:
        return True
    promise = promises.get((drift.subject, drift.signal))
    return promise is not None and promise.is_broken(drift.now) == (when.sla == "broken")


def _called(row: Any) -> str:
    return f' ("{row["name"]}")' if isinstance(row, dict) and isinstance(row.get("name"), str) else ""


def _lines(problem: ValidationError) -> Iterator[str]:
    for error in problem.errors(include_url=False):
        path = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            known = When.model_fields if "." in path else Rule.model_fields
            yield f'unknown key "{path}": did you mean "{nearest(str(error["loc"][-1]), known)}"?'
        elif error["type"] == "missing":
            yield f'"{path}" is missing'
        else:
            yield f"{path}: {error['msg'].removeprefix('Value error, ')}" if path else error["msg"]
