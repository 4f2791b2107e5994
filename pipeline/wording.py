"""Numbers, durations and percentages in words, and the nearest known name. The one place for how a person reads them."""

import difflib
from collections.abc import Iterable

_PERCENT_DECIMALS = 0.1
"""Percent: from here on one decimal, below it two significant digits."""


_SECONDS_FROM_MS = 10_000
"""Milliseconds: from here on they are told as seconds."""


_LARGE = 100
"""From here on a number is written without decimals."""


_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3_600, 60


def duration(seconds: float) -> str:
    """A length of time, in its two largest units.

    >>> duration(20), duration(7_500), duration(90_000)
    ('20 s', '2 h 5 min', '1 d 1 h')
    """
    whole = round(abs(seconds))
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return _two(whole // _MINUTE_S, "min", whole % _MINUTE_S, "s")
    if whole < _DAY_S:
        return _two(whole // _HOUR_S, "h", whole % _HOUR_S // _MINUTE_S, "min")
    return _two(whole // _DAY_S, "d", whole % _DAY_S // _HOUR_S, "h")


def quantity(value: float, unit: str, channel: str) -> str:
    """A signal's value as a person writes it.

    >>> quantity(0.0914, "", "rate"), quantity(0.0002, "", "rate"), quantity(812.4, "ms", "location")
    ('9.1 %', '0.02 %', '812 ms')
    >>> quantity(49_764.0, "ms", "location")
    '49.8 s'
    >>> quantity(93_600.0, "s", "location"), quantity(0.7712, "", "location")
    ('1 d 2 h', '0.771')
    """
    if channel == "rate":
        percent = 100 * value
        return f"{percent:.1f} %" if percent >= _PERCENT_DECIMALS else f"{percent:.2g} %"
    if unit == "s":
        return duration(value)
    if unit == "ms" and abs(value) >= _SECONDS_FROM_MS:
        return f"{value / 1000:,.1f} s"
    number = f"{value:,.0f}" if abs(value) >= _LARGE else f"{value:.3g}"
    return f"{number} {unit}" if unit else number


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that looks most like a given one.

    >>> nearest("stale_idx", ["stale_index", "stale_features"])
    'stale_index'
    """
    return max(known, key=lambda each: (difflib.SequenceMatcher(None, name, each).ratio(), each))
