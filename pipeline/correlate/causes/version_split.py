"""Version split: comparison of a new version with other versions that served in the same minutes.

Time of day, load and user requests are the same for both, so this comparison is decisive where proximity in time is
not. The test is the Cochran-Mantel-Haenszel test (Mantel & Haenszel 1959, doi 10.1093/jnci/22.4.719): for each minute,
it computes the value that the new version would have if versions did not differ, and it sums the deviations from this
value over all minutes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Literal

from schemas.drift import MINUTE_MS, Drift, Series

SplitVerdict = Literal["bad", "alike", "unclear"]

BAD_Z = 4.0
"""Number of standard errors at which versions count as different. Chance alone reaches it once in 30,000
comparisons."""

ALIKE_Z = 2.0
"""Number of standard errors below which versions count as alike, if there are enough records to detect a difference."""

OTHER_SHIFT_MAX = 0.5
"""Maximum shift of the other versions, as a share of the new version's shift, at which they count as good."""

RANK_MEAN = 0.5
"""Mean rank of a value within its own baseline."""

RANK_SPREAD = 1 / 3
"""Variance of a rank as a share of m (1 - m), its upper bound for the mean rank m. The value is exact for uniform
ranks."""

MINUTES_MIN = 2
"""Minimum number of minutes in which both versions served. If one version replaces another abruptly, they share one
minute."""


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """Comparison of a version with the other versions of its kind in the same minutes.

    ``new`` and ``others`` are a share (rate) or a mean rank (value). ``z`` is in standard errors, above 0 if the new
    version is worse.
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
    """Compare a version with the other versions of its kind since the start of a drift.

    Any other version can show that this version is worse. Only an older version can show that it is not worse, because
    a later version may include the same changes.

    Parameters
    ----------
    drift
        The drift with its series.
    version
        ``kind=version``, as in the series.

    Returns
    -------
    VersionComparison or None
        None if no other version served at the same time, or if the channel is the spread or the shape: the values per
        minute do not show them.
    """
    new = next((series for series in drift.series if series.version == version and series.records), None)
    if new is None or drift.channel in ("dispersion", "shape"):
        return None
    kind = version.partition("=")[0]
    others = [series for series in drift.series if _has_kind(series, kind) and series is not new and series.records]
    comparison = _compare(drift, new, others)
    if comparison is not None and comparison.verdict == "bad":
        return comparison
    older = [series for series in others if _first_minute(series) <= _first_minute(new)]
    return _compare(drift, new, older) or (None if comparison is None else replace(comparison, verdict="unclear"))


def _compare(drift: Drift, new: Series, others: Sequence[Series]) -> VersionComparison | None:
    minutes = [
        minute
        for minute, count in enumerate(new.records)
        if count and any(other.records[minute] for other in others) and _minute_end(new, minute) > drift.started_at
    ]
    if len(minutes) < MINUTES_MIN:
        return None
    is_rate = not new.values
    normal, spread = (drift.normal, 1.0) if is_rate else (RANK_MEAN, RANK_SPREAD)
    observed = expected = variance = pairs = 0.0
    new_count = new_total = other_count = other_total = 0.0
    for minute in minutes:
        new_records, other_records = new.records[minute], sum(other.records[minute] for other in others)
        new_sum = new_records * new.means[minute]
        other_sum = sum(other.records[minute] * other.means[minute] for other in others)
        all_records = new_records + other_records
        mean = (new_sum + other_sum) / all_records
        observed += new_sum
        expected += new_records * mean
        variance += spread * mean * (1.0 - mean) * new_records * other_records / all_records
        pairs += new_records * other_records / all_records
        new_count, new_total = new_count + new_records, new_total + new_sum
        other_count, other_total = other_count + other_records, other_total + other_sum
    sign = 1.0 if drift.side == "up" else -1.0
    new_mean, other_mean = new_total / new_count, other_total / other_count
    error = sqrt(max(variance, spread * pairs / (new_count + other_count)))
    z = sign * (observed - expected) / error
    new_shift, other_shift = sign * (new_mean - normal), sign * (other_mean - normal)
    verdict: SplitVerdict = "unclear"
    if z >= BAD_Z and other_shift <= OTHER_SHIFT_MAX * new_shift:
        verdict = "bad"
    elif (
        z < ALIKE_Z
        and other_shift > OTHER_SHIFT_MAX * new_shift
        and pairs * max(new_shift, other_shift) / error >= BAD_Z
    ):
        verdict = "alike"
    return VersionComparison(new.version, drift.signal, verdict, z, new_mean, other_mean, int(new_count), is_rate)


def best_comparison(drifts: Iterable[Drift], version: str) -> VersionComparison | None:
    """Return the most conclusive comparison, or None. Bad comes before alike, and alike before unclear."""
    comparisons = [comparison for drift in drifts if (comparison := compare_versions(drift, version)) is not None]
    ranks = {"bad": 0, "alike": 1, "unclear": 2}
    return min(comparisons, key=lambda one: (ranks[one.verdict], -one.z, one.signal), default=None)


def served_versions(drifts: Iterable[Drift], kind: str) -> set[str]:
    """Return the versions of a kind that served around the start, as ``kind=version``. The result may be empty."""
    return {series.version for drift in drifts for series in drift.series if _has_kind(series, kind)}


def shared_minutes(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Return the minutes in which two versions have records, as positions in both series of record counts.

    >>> shared_minutes([5, 0, 2, 1], [0, 3, 4, 2])
    [2, 3]
    """
    return [minute for minute, records in enumerate(zip(one, other, strict=False)) if all(records)]


def serve_together(one: Sequence[int], other: Sequence[int]) -> bool:
    """Return whether two versions served simultaneously, not in succession, given their records per minute."""
    return len(shared_minutes(one, other)) >= MINUTES_MIN


def _first_minute(series: Series) -> int:
    """Return the position of the first minute with records, or the length of the series if there is none."""
    return next((minute for minute, count in enumerate(series.records) if count), len(series.records))


def _has_kind(series: Series, kind: str) -> bool:
    return series.version.startswith(f"{kind}=")


def _minute_end(series: Series, minute: int) -> int:
    return series.begins_at + (minute + 1) * MINUTE_MS
