"""Matchers: conditions on the labels of an incident, in the notation of Alertmanager. Routes and silences use them.

Source: Alertmanager's documentation, "Matchers". As in Alertmanager, a regular expression must match the full value.
Only a subset of regular expressions is accepted, because others could take exponential time: no look-around, no
back-reference, no repeated group.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipeline.wording import did_you_mean

Labels = Mapping[str, tuple[str, ...]]
"""Values by label. Most labels have one value. A missing label has the same meaning as an empty one."""

PATTERN_LENGTH_MAX = 500
"""Maximum number of characters in a regular expression."""

REPEATS_MAX = 3
"""Maximum number of ``*``, ``+`` and ``?`` in one alternative of a regular expression. More repeats could slow
matching."""

Operator = Literal["=", "!=", "=~", "!~"]

_MATCHER = re.compile(
    r"""\s*(?P<label>[A-Za-z_][A-Za-z0-9_]*)\s*(?P<operator>=~|!~|!=|=)\s*"""
    r"""(?:"(?P<quoted>(?:[^"\\\n]|\\.)*)"|(?P<bare>[^\s{}!=~,\\"'`]+))\s*"""
)
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


@dataclass(frozen=True, slots=True)
class Matcher:
    """Condition on one label, such as ``severity=~"P1|P2"``."""

    label: str
    operator: Operator
    value: str
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        text = self.value if self.operator in ("=~", "!~") else re.escape(self.value)
        object.__setattr__(self, "_pattern", re.compile(text))

    def __str__(self) -> str:
        r"""Return the matcher as text that :func:`parse_matchers` reads.

        >>> str(Matcher("subject", "=", 'say "hi"'))
        'subject="say \\"hi\\""'
        """
        escaped = self.value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        return f'{self.label}{self.operator}"{escaped}"'

    def matches(self, labels: Labels) -> bool:
        """Return whether the condition holds.

        A missing label is treated as empty. If the label has several values, ``=`` and ``=~`` hold if any value
        matches, and ``!=`` and ``!~`` hold if none does.
        """
        is_match = any(self._pattern.fullmatch(value) for value in label_values(labels, self.label))
        return is_match is (self.operator in ("=", "=~"))


def label_values(labels: Labels, name: str) -> tuple[str, ...]:
    """Return the values of a label. A missing label has one empty value, as in Alertmanager."""
    return labels.get(name) or ("",)


def parse_matchers(*texts: str) -> tuple[Matcher, ...]:
    r"""Parse strings of one or more matchers.

    Parameters
    ----------
    texts
        Matchers separated by commas, such as ``subject="support-bot", severity=~"P1|P2"``, optionally in braces. In
        quotes, ``\"``, ``\\`` and ``\n`` are escapes. Any other backslash is literal, so ``\d`` needs no escape.

    Returns
    -------
    tuple of Matcher
        The matchers of all strings. All matchers must hold.

    Raises
    ------
    ValueError
        If a string is empty or not a matcher, or has a regular expression that is invalid or outside the subset.

    >>> [matcher.operator for matcher in parse_matchers('subject!="search", severity=~"P1|P2"')]
    ['!=', '=~']
    """
    return tuple(matcher for text in texts for matcher in _parse_text(text))


def _parse_text(text: str) -> list[Matcher]:
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1].strip()
    matchers = []
    position = 0
    while position < len(inner):
        match = _MATCHER.match(inner, position)
        if match is None or (match.end() < len(inner) and inner[match.end()] != ","):
            invalid_from = position if match is None else match.end()
            raise ValueError(
                f'invalid matcher {text!r} at {inner[invalid_from:]!r}; write label="value" (or !=, =~, !~), separated by commas'
            )
        matchers.append(_build_matcher(match))
        position = match.end() + 1
    if not matchers:
        raise ValueError(f'empty matcher {text!r}; write label="value" (or !=, =~, !~)')
    return matchers


def check_label_names(names: Iterable[str], known: Collection[str]) -> None:
    """Raise ``ValueError`` if a name is not the name of a known label."""
    for name in names:
        if name not in known:
            raise ValueError(f"unknown label {name!r}; {did_you_mean(name, known)}")


def matches_all(matchers: Sequence[Matcher], labels: Labels) -> bool:
    """Return whether all matchers hold. An empty collection matches everything."""
    return all(matcher.matches(labels) for matcher in matchers)


def _build_matcher(match: re.Match[str]) -> Matcher:
    quoted = match["quoted"]
    value = match["bare"] if quoted is None else re.sub(r"\\[\\\"n]", lambda escape: _ESCAPES[escape[0]], quoted)
    operator: Operator = match["operator"]  # type: ignore[assignment]
    if operator in ("=~", "!~"):
        _check_pattern(value)
    return Matcher(match["label"], operator, value)


def _check_pattern(pattern: str) -> None:
    """Raise ``ValueError`` if a regular expression is invalid or could take more than polynomial time."""
    if len(pattern) > PATTERN_LENGTH_MAX:
        raise ValueError(f"a regular expression must have at most {PATTERN_LENGTH_MAX} characters, not {len(pattern)}")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"the regular expression {pattern!r} is invalid: {error}") from error
    # Escaped characters and character classes match one character each, so the checks below ignore them.
    skeleton = re.sub(r"\\[^0-9]|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", pattern)
    if re.search(r"\(\?|\\[0-9]|\)[*+?{]|\{", skeleton):
        raise ValueError(
            f"the regular expression {pattern!r} has a look-around, a back-reference, a repeated group or a counted "
            "repeat; use plain text, ., [...], (a|b), *, + and ? only"
        )
    if any(len(re.findall(r"[*+?]", part)) > REPEATS_MAX for part in _alternatives(skeleton)):
        raise ValueError(
            f"the regular expression {pattern!r} repeats more than {REPEATS_MAX} times in one alternative; shorten it"
        )


def _alternatives(skeleton: str) -> list[str]:
    """Split at the top-level ``|``. An alternative contains its groups with their alternatives."""
    parts = [""]
    depth = 0
    for character in skeleton:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
