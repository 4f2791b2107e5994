"""The limit above which an age is overdue, and whether the baseline knows enough resets for a ticket or a page."""

from scipy.special import stdtrit

from pipeline.detect.signals.catalogue import SmallestEffect
from pipeline.wording import duration
from schemas.baseline import AgeCycles
from schemas.drift import Tier

TOLERANCE_SHARE = 1.0 / 3.0
"""Tolerance above the longest known age, as a share of that age."""

TOLERANCE_MIN_S = 60.0
"""Smallest tolerance, in seconds, because ages are often rounded to minutes."""

TOLERANCE_MAX_S = 1200.0
"""Largest tolerance, in seconds. With it, an age is found within half an hour after it passes the longest known age, and
a rebuild that varies by five minutes to each side is not, even if only one cycle is known."""

PAGE_RESETS = 7
"""Minimum number of resets for a page. With nightly resets, these are the nights of a week, of which one may differ."""

PAGE_ERROR = 1e-4
"""Largest probability that a normal reset comes after the limit, for a page. Ten subjects with two ages that are reset
every night have 7,300 resets per year."""


def overdue_limit(cycles: AgeCycles, smallest: SmallestEffect | None = None) -> float:
    """Return the age above which an age is overdue: the longest known age plus the tolerance, in seconds.

    The tolerance is at least the smallest change that matters, unless that is an odds ratio.

    >>> overdue_limit(AgeCycles(longest=86_400, resets=1)), overdue_limit(AgeCycles(longest=600, resets=9))
    (87600.0, 800.0)
    """
    tolerance = min(max(TOLERANCE_SHARE * cycles.longest, TOLERANCE_MIN_S), TOLERANCE_MAX_S)
    if smallest is not None and smallest.kind != "smallest_odds_ratio":
        is_relative = smallest.kind == "smallest_relative_change"
        tolerance = max(tolerance, smallest.size * cycles.longest if is_relative else smallest.size)
    return cycles.longest + tolerance


def find_overdue_obstacle(cycles: AgeCycles, tier: Tier, smallest: SmallestEffect | None = None) -> str | None:
    """Return the reason why an age cannot be overdue at a tier, or None if it can.

    The records of one moment have the same age, so the evidence of a cycle is that of one event, however many records
    show it. After ``k`` cycles without any order, the next one is the longest with probability ``1 / (k + 1)``. That is
    enough for a ticket. For a page, the limit must also be beyond the prediction limit of the next cycle,
    ``mean + t * deviation * sqrt(1 + 1 / k)``, where ``t`` is the quantile of Student's distribution with ``k - 1``
    degrees of freedom at ``1 - PAGE_ERROR``.

    References
    ----------
    Hahn, G. J., and Meeker, W. Q. 1991. Statistical intervals: a guide for practitioners. Wiley, section 4.2.

    >>> find_overdue_obstacle(AgeCycles(longest=86_400, resets=1), "page")
    'a page needs at least 7 resets, and its baseline has 1'
    """
    if not cycles.resets:
        return "it was never reset while the baseline was learned, so its longest age is not known"
    if tier != "page":
        return None
    if cycles.resets < PAGE_RESETS or cycles.mean is None or cycles.deviation is None:
        return f"a page needs at least {PAGE_RESETS} resets, and its baseline has {cycles.resets}"
    quantile = float(stdtrit(cycles.resets - 1, 1.0 - PAGE_ERROR))
    next_longest = cycles.mean + quantile * cycles.deviation * (1.0 + 1.0 / cycles.resets) ** 0.5
    if next_longest > overdue_limit(cycles, smallest):
        return f"its resets vary too much for a page, by {duration(cycles.deviation)} (standard deviation)"
    return None
