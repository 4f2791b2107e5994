"""Version split: whether records of a new version are bad while those of the others, in the same minutes, are good.

Time of day, load and what users ask are the same for both, so it decides where nearness in time cannot. The test is
Cochran's and Mantel and Haenszel's (Mantel & Haenszel 1959, doi 10.1093/jnci/22.4.719): in each minute what the new
version would show if the version made no difference, and how far it is from that over all minutes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Literal

from schemas.drift import MINUTE_MS, Drift, Series

SplitVerdict = Literal["bad", "alike", "unclear"]

SURE_Z = 4.0
"""Standard errors from which on the versions differ: by chance once in thirty thousand comparisons."""

ALIKE_Z = 2.0
"""Standard errors below which they do not, if a difference would have shown."""

OLD_SHARE_MAX = 0.5
"""Share of the new version's shift that the others may show and still count as good."""

RANK_MEAN = 0.5
"""Of a value's ranks in its baseline."""

RANK_SPREAD = 1 / 3
"""Of a mean rank m, the variance of one rank as a share of m (1 - m), which bounds it: that of even ranks."""

MINUTES_MIN = 2
"""Minutes in which both must have served: where one takes over from the other at once, they share one by name only."""


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """A version beside the others of its kind in the same minutes.

    ``new`` and ``others`` are what both show, a share or a mean rank; ``z`` is in standard errors, above 0 where the
    new version is worse.
    """

    version: str
    signal: str
    verdict: SplitVerdict
    z: float
    new: float
    others: float
    records: int
    is_rate: bool


def compare_versions(drift: Drift, version: str) -> VersionComparison | None:
    """Hold a version against the others of its kind, since the start of a drift.

    That it is worse any other version can show. That it is no worse only older ones can: one that came later may have
    what it brought.

    Parameters
    ----------
    drift
        With its series.
    version
        ``kind=version``, as in the series.

    Returns
    -------
    Comparison or None
        None if no other served beside it, or the drift is of the spread, whose direction minutes do not tell.
    """
    new = next((each for each in drift.series if each.version == version and each.records), None)
    if new is None or drift.channel == "dispersion":
        return None
    kind = version.partition("=")[0]
    others = [each for each in drift.series if _is_of(kind, each) and each is not new and each.records]
    found = _compared(drift, new, others)
    if found is not None and found.verdict == "bad":
        return found
    older = [each for each in others if _first(each) <= _first(new)]
    return _compared(drift, new, older) or (None if found is None else replace(found, verdict="unclear"))


def _compared(drift: Drift, new: Series, others: Sequence[Series]) -> VersionComparison | None:
    both = [
        place
        for place, count in enumerate(new.records)
        if count and any(each.records[place] for each in others) and _ends(new, place) > drift.started_at
    ]
    if len(both) < MINUTES_MIN:
        return None
    is_rate = not new.values
    normal, spread = (drift.normal, 1.0) if is_rate else (RANK_MEAN, RANK_SPREAD)
    observed = expected = variance = pairs = 0.0
    count = total = other_count = other_total = 0.0
    for place in both:
        new_records, other_records = new.records[place], sum(each.records[place] for each in others)
        new_sum = new_records * new.means[place]
        other_sum = sum(each.records[place] * each.means[place] for each in others)
        every = new_records + other_records
        mean = (new_sum + other_sum) / every
        observed += new_sum
        expected += new_records * mean
        variance += spread * mean * (1.0 - mean) * new_records * other_records / every
        pairs += new_records * other_records / every
        count, total = count + new_records, total + new_sum
        other_count, other_total = other_count + other_records, other_total + other_sum
    sign = 1.0 if drift.side == "up" else -1.0
    new_mean, other_mean = total / count, other_total / other_count
    error = sqrt(max(variance, spread * pairs / (count + other_count)))
    z = sign * (observed - expected) / error
    shift, other_shift = sign * (new_mean - normal), sign * (other_mean - normal)
    verdict: SplitVerdict = "unclear"
    if z >= SURE_Z and other_shift <= OLD_SHARE_MAX * shift:
        verdict = "bad"
    elif z < ALIKE_Z and other_shift > OLD_SHARE_MAX * shift and pairs * max(shift, other_shift) / error >= SURE_Z:
        verdict = "alike"
    return VersionComparison(new.version, drift.signal, verdict, z, new_mean, other_mean, int(count), is_rate)


def best_comparison(drifts: Iterable[Drift], version: str) -> VersionComparison | None:
    """The comparison that says most: that a version is bad by any signal, else that it is like the others; None without."""
    found = [each for drift in drifts if (each := compare_versions(drift, version)) is not None]
    rank = {"bad": 0, "alike": 1, "unclear": 2}
    return min(found, key=lambda each: (rank[each.verdict], -each.z, each.signal), default=None)


def served_versions(drifts: Iterable[Drift], kind: str) -> set[str]:
    """The versions of a kind that served around the start, as ``kind=version``; empty if records do not say."""
    return {each.version for drift in drifts for each in drift.series if _is_of(kind, each)}


def shared_minutes(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """The minutes, counted from the begin of both, in which both have records.

    >>> together([5, 0, 2, 1], [0, 3, 4, 2])
    [2, 3]
    """
    return [minute for minute, records in enumerate(zip(one, other, strict=False)) if all(records)]


def _first(series: Series) -> int:
    """The first minute with records, counted from the series' begin; one past the end without any."""
    return next((place for place, count in enumerate(series.records) if count), len(series.records))


def _is_of(kind: str, series: Series) -> bool:
    return series.version.startswith(f"{kind}=")


def _ends(series: Series, place: int) -> int:
    return series.begins_at + (place + 1) * MINUTE_MS
