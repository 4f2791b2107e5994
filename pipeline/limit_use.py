"""Measurements of the limits of a step: how full each is, and how often it was reached."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipeline.step import Measurement


class LimitUse(NamedTuple):
    """Use of one limit.

    Attributes
    ----------
    limit
        Key of the limit in the section of the step.
    used, maximum
        Number of items of the fullest table that the limit applies to, and the limit.
    hits
        How often the limit was reached since the step began.
    """

    limit: str
    used: int
    maximum: int
    hits: int


def measure_limits(uses: Iterable[LimitUse]) -> Iterator[Measurement]:
    """Yield the measurements of limits.

    >>> [measurement.value for measurement in measure_limits([LimitUse("subjects_max", 25, 100, 3)])]
    [3, 0.25]
    """
    for use in uses:
        yield Measurement("driftwire_limit_hits_total", use.hits, (use.limit,))
        yield Measurement("driftwire_limit_used_ratio", use.used / max(1, use.maximum), (use.limit,))
