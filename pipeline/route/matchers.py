"""Matchers as Alertmanager writes them, which routes and silences choose incidents by.

Source: Alertmanager's documentation, "Matchers". Regular expressions match the whole value, as there. They are held to
a subset that cannot run away: no look-around, no back-reference, nothing repeated that is itself a group.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from schemas.incident import Incident

LABELS = ("subject", "severity", "status", "failure_mode", "environment", "provider")
"""What an incident can be matched by. An incident without an environment or provider has it empty, as in Alertmanager."""

PATTERN_LENGTH_MAX = 500
"""Characters of a regular expression."""

REPEATS_MAX = 3
"""``*``, ``+``, ``?`` in one alternative of a regular expression: more would make matching slow on purpose."""

Operator = Literal["=", "!=", "=~", "!~"]

_MATCHER = re.compile(
    r"""\s*(?P<label>[A-Za-z_][A-Za-z0-9_]*)\s*(?P<operator>=~|!~|!=|=)\s*"""
    r"""(?:"(?P<quoted>(?:[^"\\\n]|\\.)*)"|(?P<bare>[^\s{}!=~,\\"'`]+))\s*"""
)
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label, such as ``severity=~"P1|P2"``."""

    label: str
    operator: Operator
    value: str
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        text = self.value if self.operator in ("=~", "!~") else re.escape(self.value)
        object.__setattr__(self, "_pattern", re.compile(text))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the condition holds; a label that is not there counts as empty."""
        found = self._pattern.fullmatch(labels.get(self.label, "")) is not None
        return found is (self.operator in ("=", "=~"))


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    r"""Read one matcher, or several with commas between them, braces around them or not.

    Parameters
    ----------
    text
        Such as ``subject="support-bot", severity=~"P1|P2"``. In quotes, ``\"``, ``\\`` and ``\n`` are escapes and
        every other backslash stands for itself, so that ``\d`` can be written plainly.

    Returns
    -------
    tuple of Matcher
        All of which must hold.

    Raises
    ------
    ValueError
        If it is no matcher, names a label that incidents do not have, or holds a regular expression that is wrong or
        outside the subset.

    >>> [matcher.operator for matcher in parse_matchers('subject!="search", severity=~"P1|P2"')]
    ['!=', '=~']
    """
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1].strip()
    matchers = []
    position = 0
    while position < len(inner):
        found = _MATCHER.match(inner, position)
        if found is None or (found.end() < len(inner) and inner[found.end()] != ","):
            at = position if found is None else found.end()
            raise ValueError(
                f'invalid matcher {text!r} at {inner[at:]!r}; write label="value" (or !=, =~, !~), separated by commas'
            )
        matchers.append(_matcher(found))
        position = found.end() + 1
    if not matchers:
        raise ValueError(f'empty matcher {text!r}; write label="value" (or !=, =~, !~)')
    return tuple(matchers)


def labels_of(incident: Incident) -> dict[str, str]:
    """The labels of an incident, by the names of :data:`LABELS`."""
    return {label: getattr(incident, label) or "" for label in LABELS}


def match_all(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether every matcher holds; so no matchers match everything."""
    return all(matcher.matches(labels) for matcher in matchers)


def _matcher(found: re.Match[str]) -> Matcher:
    label = found["label"]
    if label not in LABELS:
        raise ValueError(f"unknown label {label!r}; known labels are {', '.join(LABELS)}")
    quoted = found["quoted"]
    value = found["bare"] if quoted is None else re.sub(r"\\[\\\"n]", lambda escape: _ESCAPES[escape[0]], quoted)
    operator: Operator = found["operator"]  # type: ignore[assignment]
    if operator in ("=~", "!~"):
        _check_pattern(value)
    return Matcher(label, operator, value)


def _check_pattern(pattern: str) -> None:
    """Refuse a regular expression that is wrong, or that could take more than polynomial time."""
    if len(pattern) > PATTERN_LENGTH_MAX:
        raise ValueError(f"a regular expression must have at most {PATTERN_LENGTH_MAX} characters, not {len(pattern)}")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"the regular expression {pattern!r} is invalid: {error}") from error
    # Only the skeleton matters below: an escaped character or a class stands for one character.
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
    """The alternatives at the top: those inside a group belong to the one that the group is in."""
    parts = [""]
    depth = 0
    for character in skeleton:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
