"""Text formatting for people: durations, numbers, percentages, signals, hints for misspelt names, one-line errors."""

from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import ValidationError

from schemas.incident import SignalEvidence
from schemas.timestamp import time_on_day

SIMILARITY_MIN = 0.6
"""Minimum similarity (0 to 1) of a suggested name. Higher values suggest fewer names."""

NAMES_MAX = 12
"""Maximum number of known names that a hint lists if no name is similar."""

PROBLEMS_MAX = 5
"""Maximum number of invalid fields that an error line lists."""

_FAULTS = {
    "absent": "is absent",
    "bad_items": "is not a list of numbers",
    "bad_name": "has a name that cannot be used",
    "is_boolean": "is true or false",
    "is_list": "is a list",
    "is_number": "is a number",
    "is_object": "is an object",
    "is_text": "is text",
    "not_an_object": "is not an object",
    "not_json": "is not valid JSON",
    "not_utf8": "is not UTF-8",
    "out_of_bounds": "is out of bounds",
    "too_long": "is too long",
    "too_many": "has more signals than the limit",
    "too_many_fields": "has too many fields",
    "wrong_type": "has the wrong type",
}

_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3_600, 60

_AGE_IN_DAYS_FROM_S = 10 * _DAY_S
"""Minimum age, in seconds, that is shown in days."""

_FRACTIONS_BELOW_S = 10
"""Minimum duration, in seconds, that is shown without fractions of a second."""

_SECONDS_FROM_MS = 10_000
"""Minimum duration, in milliseconds, that is shown in seconds."""

_INTEGER_FROM = 100
"""Minimum number that is shown without decimals."""


def duration(seconds: float) -> str:
    """Format a length of time in its two largest units.

    >>> duration(0.43), duration(20), duration(7_500), duration(90_000)
    ('0.43 s', '20 s', '2 h 5 min', '1 d 1 h')
    """
    if abs(seconds) < _FRACTIONS_BELOW_S:
        return f"{round(abs(seconds), 3):.2g} s"
    rounded = round(abs(seconds))
    if rounded < _MINUTE_S:
        return f"{rounded} s"
    if rounded < _HOUR_S:
        return _two_units(rounded // _MINUTE_S, "min", rounded % _MINUTE_S, "s")
    if rounded < _DAY_S:
        return _two_units(rounded // _HOUR_S, "h", rounded % _HOUR_S // _MINUTE_S, "min")
    return _two_units(rounded // _DAY_S, "d", rounded % _DAY_S // _HOUR_S, "h")


def age(seconds: float) -> str:
    """Format an age in one unit, with the same unit for similar ages, so that two ages can be compared at a glance.

    >>> age(95), age(5_400), age(86_400), age(90_360), age(1_209_600)
    ('95 s', '90 min', '24.0 h', '25.1 h', '14.00 d')
    """
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.1f} h" if seconds < _AGE_IN_DAYS_FROM_S else f"{seconds / _DAY_S:.2f} d"


def percent(share: float) -> str:
    """Format a share as a percentage, with one decimal from 1 % and two significant digits below 1 %.

    >>> percent(0.0914), percent(0.00021), percent(0.0), percent(1.0)
    ('9.1 %', '0.021 %', '0 %', '100 %')
    """
    value = 100 * share
    if share in (0.0, 1.0):
        return f"{value:.0f} %"
    return f"{value:.1f} %" if value >= 1 else f"{value:.2g} %"


def number(value: float) -> str:
    """Format a number with about three significant digits.

    >>> number(0.7712), number(12.34), number(49_764.2)
    ('0.771', '12.3', '49,764')
    """
    return f"{value:,.0f}" if abs(value) >= _INTEGER_FROM else f"{value:.3g}"


def record_count(count: int) -> str:
    """Format a number of records.

    >>> record_count(1), record_count(1204)
    ('1 record', '1,204 records')
    """
    return f"{count:,} record{'' if count == 1 else 's'}"


def quantity(value: float, unit: str, channel: str) -> str:
    """Format a value of a signal: a rate or the share of a shape in percent, a time in readable units, any other number with its unit.

    An amount of money is a bare number, because its currency is known to the sender only.

    >>> quantity(0.0914, "", "rate"), quantity(812.4, "ms", "location"), quantity(49_764.0, "ms", "location")
    ('9.1 %', '812 ms', '49.8 s')
    >>> quantity(93_600.0, "s", "location"), quantity(0.7712, "", "location")
    ('1 d 2 h', '0.771')
    >>> quantity(0.0126, "currency", "location"), quantity(3.0, "steps", "location")
    ('0.0126', '3 steps')
    >>> quantity(90_360.0, "s", "overdue")
    '25.1 h'
    """
    if channel in ("rate", "shape", "limit_rate"):
        return percent(value)
    if channel == "overdue" and unit == "s":
        return age(value)
    if unit == "s":
        return duration(value)
    if unit == "ms" and abs(value) >= _SECONDS_FROM_MS:
        return f"{value / 1000:,.1f} s"
    return number(value) if unit == "currency" else f"{number(value)} {unit}".rstrip()


def value_range(values_from: float | None, values_to: float | None, unit: str) -> str:
    """Describe a range of values in words. ``None`` means that the range has no end on that side.

    >>> value_range(None, 21.4, "ms"), value_range(25_000.0, None, "ms"), value_range(10.0, 20.0, "tokens")
    ('under 21.4 ms', 'over 25.0 s', 'between 10 tokens and 20 tokens')
    """
    low = "" if values_from is None else quantity(values_from, unit, "location")
    high = "" if values_to is None else quantity(values_to, unit, "location")
    if low and high:
        return f"between {low} and {high}"
    return f"over {low}" if low else f"under {high}"


def normal_phrase(normal: float, unit: str, channel: str) -> str:
    """Describe the normal value of a signal in words: the longest known age, a limit, or what is usual.

    >>> normal_phrase(86_400.0, "s", "overdue"), normal_phrase(0.01, "", "rate"), normal_phrase(5000, "ms", "limit_p95")
    ('longest known 24.0 h', 'normally 1.0 %', 'limit 5,000 ms')
    """
    word = "longest known" if channel == "overdue" else "limit" if channel.startswith("limit_") else "normally"
    return f"{word} {quantity(normal, unit, channel)}"


def fault_phrase(reason: str) -> str:
    """Describe why a field cannot be used, as a verb phrase.

    >>> fault_phrase("is_text"), fault_phrase("a reason of another version")
    ('is text', 'cannot be used')
    """
    return _FAULTS.get(reason, "cannot be used")


def signal_name(evidence: SignalEvidence) -> str:
    """Return the signal of a line of evidence, with its channel unless it is the usual one, and its segments."""
    is_usual = evidence.channel in ("rate", "location")
    name = evidence.signal if is_usual else f"{evidence.signal} {evidence.channel}"
    return f"{name} [{', '.join(evidence.segments)}]" if any(evidence.segments) else name


def measurement_time(evidence: SignalEvidence, day: int) -> str:
    """Describe when the value of a line of evidence was measured: at its detection, or at the time of a later report.

    A time on the same date as ``day`` (Unix ms) has no date. The text is ``"recovered"`` for a recovered drift, and empty
    if the time is not known.
    """
    if evidence.state == "recovered" or evidence.measured_at is None:
        return "recovered" if evidence.state == "recovered" else ""
    is_first = evidence.measured_at <= evidence.detected_at
    return "at detection" if is_first else time_on_day(evidence.measured_at, day)


def similar_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to a misspelt name, or None if no name is similar.

    >>> similar_name("stale_idx", ["stale_index", "stale_features"])
    'stale_index'
    """
    return next(iter(get_close_matches(name, list(known), 1, SIMILARITY_MIN)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown name: the most similar known name, or a list of the known names.

    >>> did_you_mean("stale_idx", ["stale_index", "stale_features"])
    'did you mean "stale_index"?'
    >>> did_you_mean("latency", ["stale_index", "refusal_spike"])
    'use one of refusal_spike, stale_index'
    """
    names = sorted(known)
    similar = similar_name(name, names)
    if similar is not None:
        return f'did you mean "{similar}"?'
    return f"use one of {', '.join(names[:NAMES_MAX])}{', ...' if len(names) > NAMES_MAX else ''}"


def one_line(error: Exception) -> str:
    """Format an error as one line.

    For a contract violation, the line contains the names of the invalid fields but never their values.

    >>> from schemas.tick import Tick
    >>> try:
    ...     Tick.from_json(b'{"watermark": 5}')
    ... except ValidationError as error:
    ...     one_line(error)
    'partition: Field required; watermark: a timestamp that is a number must be a Unix time from 2001 to 5138'
    """
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    details = error.errors(include_url=False, include_input=False, include_context=False)
    problems = [
        ": ".join(
            part for part in (".".join(map(str, detail["loc"])), detail["msg"].removeprefix("Value error, ")) if part
        )
        for detail in details
    ]
    rest = f" (and {len(problems) - PROBLEMS_MAX} more)" if len(problems) > PROBLEMS_MAX else ""
    return "; ".join(problems[:PROBLEMS_MAX]) + rest


def _two_units(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"
