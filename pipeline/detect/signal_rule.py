"""Rules for signals in the configuration: what people know about signals and their subjects."""

import fnmatch
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

AtMost = Literal["page", "ticket", "cause", "off"]
"""Highest tier of the drifts of a signal. A signal that is off is not monitored."""

Pattern = str


class ValueLimit(BaseModel):
    """A limit that always holds for a statistic of a signal, whatever is normal.

    >>> ValueLimit(statistic="p95", above=5000).side
    'up'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    statistic: str = Field(
        pattern=r"^(mean|p[1-9][0-9]?)$",
        description="Statistic of the records of over_s: mean, or a percentile from p1 to p99, such as p95. A rate has only a "
        "mean.",
    )
    above: float | None = Field(
        default=None,
        ge=-1e12,
        le=1e12,
        description="Limit that the statistic must not exceed, in the unit of the signal.",
    )
    below: float | None = Field(
        default=None,
        ge=-1e12,
        le=1e12,
        description="Limit that the statistic must not fall below, in the unit of the signal.",
    )
    tier: Literal["page", "ticket"] = Field(
        default="page",
        description="Tier of a drift beyond the limit: page or ticket. The key at_most of a rule caps it.",
    )
    over_s: int = Field(
        default=300,
        ge=60,
        le=3600,
        multiple_of=60,
        description="Seconds over which the statistic is computed, in whole minutes. Higher values find breaches later and "
        "fewer by chance.",
    )

    @model_validator(mode="after")
    def _has_one_side(self) -> "ValueLimit":
        if (self.above is None) == (self.below is None):
            raise ValueError('must contain either "above" or "below"')
        return self

    @property
    def value(self) -> float:
        """The limit, in the unit of the signal."""
        return self.above if self.above is not None else self.below or 0.0

    @property
    def side(self) -> Literal["up", "down"]:
        """The direction in which the statistic breaks the limit."""
        return "up" if self.above is not None else "down"

    def __str__(self) -> str:
        """Return the limit in words, such as ``p95 above 5000``."""
        return f"{self.statistic} {'above' if self.side == 'up' else 'below'} {self.value:g}"


class SignalRule(BaseModel):
    """A rule for the signals whose name and subject match its patterns.

    For each key, the first rule that matches a signal and contains the key decides.

    >>> rule = SignalRule(subject="support-*", signal="custom.*", bad_direction="up")
    >>> rule.matches("support-bot", "custom.toxicity"), rule.matches("search", "custom.toxicity")
    (True, False)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: Pattern = Field(
        default="*",
        min_length=1,
        max_length=200,
        description="Pattern of the subjects to which the rule applies. * stands for any characters.",
    )
    signal: Pattern = Field(
        min_length=1,
        max_length=200,
        description="Pattern of the signals to which the rule applies, such as latency_ms or custom.*. * stands for any "
        "characters.",
    )
    bad_direction: Literal["up", "down", "both"] | None = Field(
        default=None, description="Direction in which a change is bad: up, down or both."
    )
    at_most: AtMost | None = Field(
        default=None,
        description="Highest tier of the signal's drifts: page, ticket, cause or off. A cause never alerts, and only "
        "supports a diagnosis. A signal that is off is not monitored.",
    )
    failure_mode: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Failure mode of the signal's drifts, as named in docs/runbooks. It decides the severity, the "
        "containment and the runbook.",
    )
    unit: str | None = Field(
        default=None,
        max_length=20,
        description="Unit that is shown with values of the signal. Values are not converted.",
    )
    smallest_change: float | None = Field(
        default=None,
        gt=0,
        le=1e12,
        description="Smallest change that matters, in the unit of the signal (0 to 1 for a rate). Higher values raise "
        "fewer pages and tickets.",
    )
    smallest_relative_change: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="Smallest change that matters, relative to the normal value: 0.1 is 10 %. Higher values raise fewer "
        "pages and tickets.",
    )
    smallest_odds_ratio: float | None = Field(
        default=None,
        gt=1,
        le=1000,
        description="Smallest change that matters, as an odds ratio. For a value, the odds are those of a record above a "
        "normal record. Higher values raise fewer pages and tickets.",
    )

    limits: tuple[ValueLimit, ...] = Field(
        default=(),
        max_length=8,
        description='Limits that always hold, such as { statistic = "p95", above = 5000 }. They need no baseline.',
    )

    SMALLEST: ClassVar = ("smallest_change", "smallest_relative_change", "smallest_odds_ratio")
    """Keys for the smallest change that matters. They are one setting: a rule contains at most one of them."""

    @model_validator(mode="after")
    def _sets_something_once(self) -> "SignalRule":
        keys = [key for key in self.SMALLEST if getattr(self, key) is not None]
        if len(keys) > 1:
            raise ValueError(f"contains {' and '.join(keys)}, but a signal has one smallest change; remove one")
        sides = [(limit.statistic, limit.side, limit.tier) for limit in self.limits]
        if repeated := next((side for side in sides if sides.count(side) > 1), None):
            statistic, side, tier = repeated
            name = "above" if side == "up" else "below"
            raise ValueError(f"contains two limits of the tier {tier} for {statistic} {name}; remove one")
        if not self.keys:
            raise ValueError(f"changes nothing; set {', '.join(self.EFFECTS[:-1])} or {self.EFFECTS[-1]}")
        return self

    EFFECTS: ClassVar = ("bad_direction", "at_most", "failure_mode", "unit", *SMALLEST, "limits")
    """Keys that change a signal."""

    @property
    def keys(self) -> list[str]:
        """The keys that the rule contains, without its patterns."""
        return [key for key in self.EFFECTS if getattr(self, key) not in (None, ())]

    @property
    def subjects(self) -> "re.Pattern[str]":
        """The regular expression of the subjects."""
        return compile_pattern(self.subject)

    @property
    def signals(self) -> "re.Pattern[str]":
        """The regular expression of the names of the signals."""
        return compile_pattern(self.signal)

    def matches(self, subject: str, signal: str) -> bool:
        """Return whether the rule applies to a signal of a subject."""
        return self.signals.match(signal) is not None and self.subjects.match(subject) is not None


class AppliedKey(NamedTuple):
    """A key of the first rule that contains it and matches a signal. ``rule`` is the position of the rule, from 0."""

    rule: int
    key: str
    value: Any


def find_applied_keys(rules: Sequence[SignalRule], subject: str, signal: str) -> list[AppliedKey]:
    """Return the keys that apply to a signal of a subject, in the order of the keys.

    >>> rules = [SignalRule(signal="custom.toxicity", at_most="page"),
    ...          SignalRule(signal="custom.*", at_most="off", bad_direction="up")]
    >>> [(applied.rule, applied.key, applied.value) for applied in find_applied_keys(rules, "bot", "custom.toxicity")]
    [(1, 'bad_direction', 'up'), (0, 'at_most', 'page')]
    """
    applied: dict[str, AppliedKey] = {}
    for index, rule in enumerate(rules):
        if not rule.matches(subject, signal):
            continue
        for key in rule.keys:
            setting = "smallest" if key in SignalRule.SMALLEST else key
            applied.setdefault(setting, AppliedKey(index, key, getattr(rule, key)))
    order = SignalRule.EFFECTS
    return sorted(applied.values(), key=lambda each: order.index(each.key))


@lru_cache(4096)
def compile_pattern(pattern: str) -> "re.Pattern[str]":
    """Return a pattern as a regular expression. Only ``*`` has a meaning.

    >>> [bool(compile_pattern("a[1]*").match(text)) for text in ("a[1]", "a[1]-eu", "a1")]
    [True, True, False]
    """
    return re.compile(fnmatch.translate(re.sub(r"[\[?]", r"[\g<0>]", pattern)))
