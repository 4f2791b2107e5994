"""Check the rules for signals. A rule that can never apply is an error, because nobody would notice it."""

from collections.abc import Iterator, Sequence

from pipeline.correlate.playbook import failure_modes
from pipeline.deployment_check import CUSTOM_PREFIX, describe_unknown_signal, is_signal
from pipeline.detect.signal_rule import SignalRule, compile_pattern
from pipeline.detect.signals import catalogue
from pipeline.wording import did_you_mean

EVENTS = ("silence", "request_rate")
"""Signals without a band whose tier and failure mode a rule can change."""

EVENT_KEYS = ("at_most", "failure_mode")

OTHERS = {signal.name for signal in (*catalogue.EVENTS, *catalogue.CATEGORIES)}.difference(EVENTS)
"""Signals to which no rule applies."""

RATES = {signal.name for signal in catalogue.SIGNALS if signal.kind == "rate"}


def find_rule_problems(rules: Sequence[SignalRule]) -> list[str]:
    """Return one line per problem: the path of the key, the problem and the solution.

    >>> find_rule_problems([SignalRule(signal="latncy_*", at_most="ticket")])
    ['detect.signals[0].signal: no signal matches "latncy_*"; see docs/signals.md, or use "custom.NAME" for a custom signal']
    """
    problems: list[str] = []
    for index, rule in enumerate(rules):
        path = f"detect.signals[{index}]"
        problems += _find_name_problems(rule, path)
        problems += _find_mode_problems(rule, path)
        problems += _find_overridden_keys(rules, index)
    return problems


def _find_name_problems(rule: SignalRule, path: str) -> Iterator[str]:
    name = rule.signal
    if name in OTHERS:
        yield f"{path}.signal: no rule applies to {name}, which has no band; use silence, request_rate or a signal with numbers"
    elif name in EVENTS:
        for key in (key for key in rule.keys if key not in EVENT_KEYS):
            yield f"{path}.{key}: {name} has no band; a rule for it can contain {' and '.join(EVENT_KEYS)}"
    elif "*" not in name and not is_signal(name):
        yield f"{path}.signal: {describe_unknown_signal(name)}"
    elif "*" in name and not _matches_any(rule):
        yield (
            f'{path}.signal: no signal matches "{name}"; see docs/signals.md, or use "{CUSTOM_PREFIX}NAME" for a custom signal'
        )
    if name in RATES:
        yield from _find_rate_limit_problems(rule, path)
    if name in RATES and (rule.smallest_change or 0.0) >= 1.0:
        yield f"{path}.smallest_change: {name} is a rate, whose mean is between 0 and 1: use less than 1, not {rule.smallest_change:g}"


def _find_rate_limit_problems(rule: SignalRule, path: str) -> Iterator[str]:
    for index, limit in enumerate(rule.limits):
        if limit.statistic != "mean":
            yield (
                f'{path}.limits[{index}].statistic: {rule.signal} is a rate, which has no percentiles: use "mean", not '
                f'"{limit.statistic}"'
            )
        if not 0.0 <= limit.value <= 1.0:
            name = "above" if limit.side == "up" else "below"
            yield f"{path}.limits[{index}].{name}: {rule.signal} is a rate: use 0 to 1, not {limit.value:g}"


def _matches_any(rule: SignalRule) -> bool:
    literal = rule.signal.partition("*")[0]
    may_be_custom = literal.startswith(CUSTOM_PREFIX) or CUSTOM_PREFIX.startswith(literal)
    return (
        may_be_custom
        or any(rule.signals.match(signal.name) for signal in catalogue.SIGNALS)
        or any(rule.signals.match(name) for name in EVENTS)
    )


def _find_mode_problems(rule: SignalRule, path: str) -> Iterator[str]:
    mode = rule.failure_mode
    if mode is None:
        return
    if mode not in failure_modes.MODES:
        yield f'{path}.failure_mode: unknown failure mode "{mode}"; {did_you_mean(mode, failure_modes.MODES)}'
    elif failure_modes.MODES[mode].is_composed:
        yield f'{path}.failure_mode: "{mode}" is recognised from several drifts, so no signal has it; use another failure mode'


def _find_overridden_keys(rules: Sequence[SignalRule], index: int) -> Iterator[str]:
    """Yield a line per key that an earlier rule contains for all signals and subjects of a rule."""
    rule = rules[index]
    smallest = set(SignalRule.SMALLEST)
    for key in rule.keys:
        same = smallest if key in smallest else {key}
        for number, earlier in enumerate(rules[:index]):
            # A pattern that matches the text of another pattern matches everything that the other one matches.
            covers = compile_pattern(earlier.subject).match(rule.subject) and earlier.signals.match(rule.signal)
            if covers and same & set(earlier.keys):
                yield (
                    f"detect.signals[{index}].{key}: has no effect, because detect.signals[{number}] decides it for all of "
                    "these signals; the first rule that matches decides, so put the rule for fewer signals first"
                )
                break
