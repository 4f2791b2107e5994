"""The band: the means of a channel that are consistent with its baseline. Its ends give the null boundaries."""

from dataclasses import dataclass
from typing import NamedTuple

from scipy.special import betaincinv, chdtri, ndtr, ndtri

from pipeline.detect.one_sided_tests.smallest_effect import find_indifferent_means, find_indifferent_share
from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.signals import Signal, channels
from schemas.baseline import Channel, SignalBaseline
from schemas.drift import Tier

DEVIATIONS = 3.0
"""Minimum half-width of the band, in standard deviations between slices."""

BAND_ERROR = 1e-3
"""Probability that any band of a subject is too narrow by chance. One in a thousand baselines has such a band."""

FLOOR_DAYS = 5
"""Number of full days from which the day floor no longer applies, because the baseline then covers differences between
days. With fewer days, the floor of one day is divided by their number."""

DAYS_ERROR = 0.1
"""Probability that the deviation between slices is larger than the one that the band of a tail's ticket assumes. Few days show
few of the differences between days."""

TICKET_FLOOR_DAYS = 2
"""Number of full days after which the day floor no longer applies to the ticket of a rate."""

FLOOR_RELATIVE = 0.10
"""Day floor of a rate: the minimum standard deviation between days, relative to the rate of the rarer outcome."""

FLOOR_RANK = 0.05
"""Floor of the day-to-day variation of a mean rank: the minimum standard deviation between days. For a tail, the floor is
the effect of three such deviations on its share. Extreme values depend much more on the time of day than the mean rank
does, but they are too rare to show this within half an hour."""

NARROW_BELOW = 0.02
"""Rate of the rarer outcome. A band that ends below this rate is testable regardless of its width in odds, because a
failure of a few percent is far outside it."""

TAIL_SHIFT_MAX = 0.35
"""Largest shift of the mean rank that the band of a tail allows for. It makes a tail of 1 % one of 20 %."""

TAIL_NARROW_BELOW = 0.3
"""Share of a tail. The band of a tail that ends below this share is testable regardless of its width in odds: in a failure
that matters, more values than this are as extreme as 1 % normally are."""

WIDE_TAIL_PAGE = 0.4
"""Share of a tail above which it pages if its band is wide in odds. A tail that depends that much on the load can rise
further than a baseline of a few days shows, so only a saturation pages."""

BOUNDARY_MIN = 1e-5
BOUNDARY_MAX = 0.999
"""Smallest and largest null boundary. A boundary closer to 0 or 1 could not be crossed within a reasonable time."""

ALL_INDIFFERENT = "no change in this direction is as large as the smallest change that matters"
"""Reason why a channel is not testable if the smallest change that matters is beyond the end of its range."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Band:
    """The means that are consistent with a baseline.

    Attributes
    ----------
    low, high
        The ends of the band.
    low_not_testable, high_not_testable
        For each direction the reason why it is not testable, or None.
    low_null, high_null
        The null boundaries: the ends of the band, or of the band without the tolerance.
    """

    low: float
    high: float
    low_not_testable: str | None
    high_not_testable: str | None
    low_null: float
    high_null: float

    def include_means(self, signal: Signal, learned: SignalBaseline, channel: str, mean: float) -> "Band":
        """Return the band that also contains the means of a channel that do not matter, if a smallest change is configured."""
        return self._widen(find_indifferent_means(signal, learned, channel, mean))

    def include_share(self, signal: Signal, learned: SignalBaseline, number: int, share: float) -> "Band":
        """Return the band that also contains the shares of a rank bin that do not matter, if a smallest change is configured."""
        return self._widen(find_indifferent_share(signal, learned, number, share))

    def _widen(self, means: tuple[float, float] | None) -> "Band":
        if means is None:
            return self
        low, high = min(self.low, means[0]), max(self.high, means[1])
        return Band(
            low=max(low, 1.0 - BOUNDARY_MAX),
            high=min(high, BOUNDARY_MAX),
            low_not_testable=self.low_not_testable or (ALL_INDIFFERENT if low < 1.0 - BOUNDARY_MAX else None),
            high_not_testable=self.high_not_testable or (ALL_INDIFFERENT if high > BOUNDARY_MAX else None),
            low_null=max(min(self.low_null, means[0]), 1.0 - BOUNDARY_MAX),
            high_null=min(max(self.high_null, means[1]), BOUNDARY_MAX),
        )


def confidence_high(events: float, records: float, error: float) -> float:
    """Return the upper Clopper-Pearson limit of a rate.

    It is the ``1 - error`` quantile of ``Beta(events + 1, records - events)``. Without events, the limit is
    ``1 - error**(1/records)``.

    Parameters
    ----------
    events, records
        Number of events, and number of independent records. Both may be fractions.
    error
        Probability that the true rate exceeds the limit. Lower values give a higher limit.

    References
    ----------
    Clopper, C. J., and Pearson, E. S. 1934. The use of confidence or fiducial limits illustrated in the case of the
    binomial. Biometrika 26(4).

    >>> round(confidence_high(0, 5000, 1e-5), 5)
    0.0023
    """
    return 1.0 if events >= records else float(betaincinv(events + 1.0, records - events, 1.0 - error))


def compute_band(
    channel: Channel,
    name: str,
    tier: Tier,
    settings: DetectSettings,
    *,
    test_count: int,
    span_s: float,
    location_deviation: float = 0.0,
) -> Band:
    """Return the band of a channel at a tier.

    Each end is the farthest of three: the confidence limit of the baseline's mean at
    ``1 - 1 / (1000 * test_count)``, three robust standard deviations between slices or the day floor, and the tolerance
    of the tier. The formulas are in ``docs/how-detection-works.md``.

    Parameters
    ----------
    channel, name
        The channel in the baseline, and its name.
    tier
        Tier of the test. Tickets have narrower tolerances than pages. The tier ``cause`` uses the tolerances of pages.
    test_count
        Number of one-sided tests of the subject. Higher values widen the band.
    span_s
        Seconds of event time that the baseline covers. The day floor applies to less than five full days, unless
        ``settings.ready_after_s`` is less than a day.
    location_deviation
        For a tail, the standard deviation of the mean rank of its signal between slices. A renewed baseline has too few
        extreme values per slice to show how much the tail itself varies.

    >>> learned = Channel(mean=0.01, variance=0.0099, autocorrelation_time=1.0, slice_deviation=0.0, count=100_000)
    >>> round(compute_band(learned, "rate", "page", DetectSettings(), test_count=90, span_s=86_400).high, 5)
    0.01493
    """
    if channel.count < 1:
        no_records = "the baseline has no records of it"
        return Band(0.0, 1.0, no_records, no_records, 0.0, 1.0)
    binary = name in channels.BINARY
    independent = channel.count / channel.autocorrelation_time
    error = BAND_ERROR / max(1, test_count)
    mean = min(max(channel.mean, 0.0), 1.0)
    spread = DEVIATIONS * channel.slice_deviation
    if tier == "ticket" and name in ("high_tail", "low_tail") and settings.ready_after_s >= DAY_S:
        spread = max(spread, min(spread * _days_factor(span_s), TAIL_NARROW_BELOW - mean - _ROUNDING))
    spread = max(spread, _day_floor(channel, name, tier, settings, span_s))
    if name in ("high_tail", "low_tail"):
        shifted = shift_tail(mean, min(DEVIATIONS * location_deviation, TAIL_SHIFT_MAX))
        if span_s < 2 * DAY_S:
            # The first day has enough values per slice to show how much the tail varies.
            shifted = min(shifted, channels.scale_odds(mean, settings.band_odds_max))
        spread = max(spread, shifted - mean)
    if not binary:
        tolerance = settings.ticket_rank_shift if tier == "ticket" else settings.page_rank_shift
        half = max(tolerance, spread, -float(ndtri(error)) * (max(channel.variance, 0.0) / independent) ** 0.5)
        too_wide = None
        if half > settings.band_rank_max:
            limit = settings.band_rank_max
            too_wide = f"its mean rank can move by {half:.2f} without a failure; the limit is {limit:g}"
        low, high = mean - half, mean + half
        return Band(low, high, too_wide or _out_of_reach(1.0 - low), too_wide or _out_of_reach(high), low, high)
    if tier == "ticket":
        tolerance = settings.ticket_rate_odds
    else:
        tolerance = settings.page_rate_odds if name == "rate" else settings.page_tail_odds
    odds_max = settings.band_odds_max
    narrow_below = TAIL_NARROW_BELOW if name in ("high_tail", "low_tail") else NARROW_BELOW
    upper, lower = (
        _rate_end(
            share,
            independent,
            error,
            spread=spread,
            tolerance=tolerance,
            odds_max=odds_max,
            narrow_below=narrow_below,
        )
        for share in (mean, 1.0 - mean)
    )
    if upper.is_wide and tier != "ticket" and upper.not_testable is None and name in ("high_tail", "low_tail"):
        share = max(upper.end, WIDE_TAIL_PAGE)
        upper = upper._replace(end=share, known=share)
    is_narrow = excludes_tolerance(name, tier, span_s)
    return Band(
        1.0 - lower.end,
        upper.end,
        lower.not_testable,
        upper.not_testable,
        1.0 - (lower.known if is_narrow else lower.end),
        upper.known if is_narrow else upper.end,
    )


class _RateEnd(NamedTuple):
    """The upper end of the band of a rate or tail, with and without the tolerance.

    ``is_wide`` tells whether its odds differ from those of the mean by more than ``band_odds_max``, and ``not_testable`` why
    it is not testable, or None.
    """

    end: float
    known: float
    is_wide: bool
    not_testable: str | None


def _rate_end(
    mean: float,
    independent: float,
    error: float,
    *,
    spread: float,
    tolerance: float,
    odds_max: float,
    narrow_below: float,
) -> _RateEnd:
    known = max(confidence_high(mean * independent, independent, error), mean + spread, BOUNDARY_MIN)
    end = max(known, channels.scale_odds(mean, tolerance))
    if end > BOUNDARY_MAX:
        return _RateEnd(BOUNDARY_MAX, min(known, BOUNDARY_MAX), True, _out_of_reach(end))
    # If there are few or no events, the band of a rate is wide in odds even if it is narrow in absolute terms. Its
    # width is therefore measured from the boundary that a rate without events would have.
    origin = max(mean, confidence_high(0.0, independent, error))
    ratio = end * (1.0 - origin) / (origin * (1.0 - end)) if origin < 1.0 else 1.0
    is_wide = ratio > odds_max * (1.0 + _ROUNDING) and end > NARROW_BELOW
    too_wide = None
    if is_wide and end > narrow_below:
        too_wide = f"its odds can change {ratio:.1f}-fold without a failure; the limit is {odds_max:g}-fold"
    return _RateEnd(end, known, is_wide, too_wide)


def shift_tail(mean: float, shift: float) -> float:
    """Return the share of values in a tail after a shift of the mean rank, for a normal distribution.

    For the share ``m0`` and the shift ``t``, the result is ``Φ(Φ⁻¹(m0) + √2·Φ⁻¹(0.5 + t))``.

    >>> round(shift_tail(0.01, 0.1), 4)
    0.0245
    """
    inside = min(max(mean, 1e-9), 1.0 - 1e-9)
    return float(ndtr(ndtri(inside) + 2.0**0.5 * ndtri(0.5 + shift)))


def excludes_tolerance(name: str, tier: Tier, span_s: float) -> bool:
    """Return whether the null boundaries of a channel exclude the tolerance, which its bets then take into account.

    They do for the ticket of a rate whose baseline covers two days.
    """
    return name == "rate" and tier == "ticket" and span_s >= TICKET_FLOOR_DAYS * DAY_S


def _days_factor(span_s: float) -> float:
    """Return the upper confidence limit of a deviation that few days show, relative to the measured deviation.

    It is 1 from ``FLOOR_DAYS`` days on.

    >>> [round(_days_factor(days * DAY_S), 2) for days in (1, 3, 4, 5)]
    [7.96, 3.08, 2.27, 1.0]
    """
    if span_s >= FLOOR_DAYS * DAY_S:
        return 1.0
    degrees = max(1.0, span_s // DAY_S - 1.0)
    return float((degrees / chdtri(degrees, 1.0 - DAYS_ERROR)) ** 0.5)


def _day_floor(channel: Channel, name: str, tier: Tier, settings: DetectSettings, span_s: float) -> float:
    if span_s >= FLOOR_DAYS * DAY_S or settings.ready_after_s < DAY_S:
        return 0.0
    if name == channels.OVERDUE:
        return 0.0  # The tolerance of its limit covers differences between days.
    if excludes_tolerance(name, tier, span_s):
        return 0.0
    # From the second full day, part of the differences between days is measured.
    remaining = 1.0 / max(1.0, span_s // DAY_S)
    if name == "rate":
        return remaining * DEVIATIONS * FLOOR_RELATIVE * min(channel.mean, 1.0 - channel.mean)
    shift = remaining * DEVIATIONS * FLOOR_RANK
    if name not in channels.BINARY:
        return shift
    # The floor widens the band of a tail, but not beyond the testable limit.
    shifted = min(shift_tail(channel.mean, shift), channels.scale_odds(channel.mean, settings.band_odds_max))
    return shifted - channel.mean


def _out_of_reach(boundary: float) -> str | None:
    return "its mean is already at that end of its range" if boundary > BOUNDARY_MAX else None
