"""The kinds of days that a baseline contains. On another kind of day, a value may be different without a failure."""

from typing import NamedTuple, Self

from pipeline.detect.one_sided_tests import OneSidedTest
from pipeline.detect.settings import DAY_S, HOUR_S, DetectSettings
from schemas.baseline import Baseline

HOURS_MIN = 24
"""Number of hours of a kind of day from which a baseline contains it. A shorter baseline contains the kind that it is of."""

TAIL_SHARE_MAX = 0.3
"""Largest share of the values in a tail that an unknown day may explain: where the widest band of a tail ends."""

HOUR_MS, DAY_MS = HOUR_S * 1000, DAY_S * 1000


class KnownDays(NamedTuple):
    """Whether a baseline contains weekdays, and whether it contains weekends (Saturday and Sunday, UTC).

    ``rank_shift_max`` is the largest shift of a mean rank that another kind of day may explain.
    """

    weekdays: bool = True
    weekends: bool = True
    rank_shift_max: float = 0.0

    @classmethod
    def from_baseline(cls, baseline: Baseline, settings: DetectSettings) -> Self:
        """Return the known days of a baseline. If baselines need less than a day, all days are known.

        >>> from schemas.baseline import Baseline
        >>> days = {"learned_from": "2026-11-23T00:00:00Z", "learned_to": "2026-11-26T00:00:00Z"}
        >>> monday = Baseline(subject="s", baseline_version="v", source="live", records=1, signals={}, **days)
        >>> KnownDays.from_baseline(monday, DetectSettings())
        KnownDays(weekdays=True, weekends=False, rank_shift_max=0.25)
        """
        if settings.ready_after_s < DAY_S or baseline.learned_to - baseline.learned_from >= 7 * DAY_MS:
            return cls()
        hours = range(baseline.learned_from, baseline.learned_to, HOUR_MS)
        weekend_hours, hours_min = sum(map(_is_weekend, hours)), min(len(hours), HOURS_MIN)
        return cls(len(hours) - weekend_hours >= hours_min, weekend_hours >= hours_min, settings.band_rank_max)

    def may_explain(self, test: OneSidedTest, mean: float, time_ms: int) -> bool:
        """Return whether an unknown kind of day may explain what a page or ticket would tell.

        It may for a value whose mean rank has moved by no more than the widest band, or whose tail has no more values
        than the widest band of a tail. Rates hardly depend on the day, so it never explains them.

        Parameters
        ----------
        mean
            Mean of the channel since the drift began.
        time_ms
            Start of the drift in Unix milliseconds.
        """
        if test.tier == "cause" or (self.weekends if _is_weekend(time_ms) else self.weekdays):
            return False
        if test.channel in ("location", "dispersion"):
            return abs(mean - test.mean) <= self.rank_shift_max
        return test.channel in ("high_tail", "low_tail") and mean <= TAIL_SHARE_MAX


def _is_weekend(time_ms: int) -> bool:
    # 1 January 1970 was a Thursday.
    return (time_ms // DAY_MS + 3) % 7 >= 5
