"""The band: how far a channel's mean may lie from its baseline's and still be no news. It is the null and the gate."""

from dataclasses import dataclass

from scipy.special import betaincinv, ndtr, ndtri

from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.signals import channels
from schemas.baseline import Channel
from schemas.drift import Tier

DEVIATIONS = 3.0
"""Standard deviations between slices that the band is at least wide."""

MISTAKEN_BANDS_PER_SIDE = 1e-3
"""Bands too narrow by chance that all sides of a subject together may have: one in a thousand baselines."""

FLOOR_DAYS = 3
"""Whole days from which on a baseline has seen for itself how much days differ."""

FLOOR_RELATIVE = 0.10
"""Day-to-day standard deviation of a rate, relative to the rarer outcome, until then."""

FLOOR_RANK = 0.05
"""Day-to-day standard deviation of a mean rank, until then. A tail's band takes in what three of it do to a tail: half an
hour holds too few extremes to show how they follow the time of day, and with the value they move a lot."""

NARROW_BELOW = 0.02
"""Rate of the rarer outcome: a band that ends below it can be judged however wide it is in odds, since a failure of a
few percent lies far outside of it."""

BOUNDARY_MIN = 1e-5
BOUNDARY_MAX = 0.999
"""Edges nearer to 0 and 1 than these cannot be crossed in any useful time."""


_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Band:
    """The edges of the mean, and for each side either None or why it cannot be judged."""

    low: float
    high: float
    low_refusal: str | None
    high_refusal: str | None


def confidence_high(events: float, records: float, error: float) -> float:
    """The upper Clopper-Pearson limit of a rate; 1 - error**(1/records) if there was no event at all.

    >>> round(confidence_high(0, 5000, 1e-5), 5)
    0.0023
    """
    return 1.0 if events >= records else float(betaincinv(events + 1.0, records - events, 1.0 - error))


def compute_band(
    channel: Channel, name: str, tier: Tier, settings: DetectSettings, *, sides: int, span_s: float
) -> Band:
    """The band of one channel at one tier.

    Each edge is the farthest of three: a confidence limit of the baseline's mean at 1 - 1/(1000 sides), three robust
    standard deviations between its slices, and a tolerance below which nobody wants to hear of it.

    Parameters
    ----------
    sides
        Sides of the subject that are watched in all: the more, the wider each band.
    span_s
        Seconds of event time that the baseline saw. Below three whole days, days may differ more than it shows; the
        floor for that is left out where ``settings.ready_after_s`` says that days do not matter.

    >>> usual = Channel(mean=0.01, variance=0.0099, autocorrelation_time=1.0, slice_deviation=0.0, count=100_000)
    >>> round(band(usual, "rate", "page", DetectSettings(), sides=90, span_s=86_400).high, 5)
    0.01493
    """
    if channel.count < 1:
        return Band(0.0, 1.0, "no records behind its mean", "no records behind its mean")
    binary = name in channels.BINARY
    independent = channel.count / channel.autocorrelation_time
    error = MISTAKEN_BANDS_PER_SIDE / max(1, sides)
    spread = max(DEVIATIONS * channel.slice_deviation, _day_floor(channel, name, settings, span_s))
    mean = min(max(channel.mean, 0.0), 1.0)
    if not binary:
        tolerance = settings.ticket_rank_shift if tier == "ticket" else settings.page_rank_shift
        half = max(tolerance, spread, -float(ndtri(error)) * (max(channel.variance, 0.0) / independent) ** 0.5)
        width = f"its mean rank may move by {half:.2f} by itself, more than {settings.band_rank_max:g}"
        refusal = width if half > settings.band_rank_max else None
        low, high = mean - half, mean + half
        return Band(low, high, refusal or _reach(1.0 - low), refusal or _reach(high))
    if tier == "ticket":
        tolerance = settings.ticket_rate_odds
    else:
        tolerance = settings.page_rate_odds if name == "rate" else settings.page_tail_odds
    widest = settings.band_odds_max
    high, high_refusal = _rate_edge(mean, independent, error, spread=spread, tolerance=tolerance, odds_max=widest)
    mirrored, low_refusal = _rate_edge(
        1.0 - mean, independent, error, spread=spread, tolerance=tolerance, odds_max=widest
    )
    return Band(1.0 - mirrored, high, low_refusal, high_refusal)


def _rate_edge(
    mean: float, independent: float, error: float, *, spread: float, tolerance: float, odds_max: float
) -> tuple[float, str | None]:
    high = max(
        confidence_high(mean * independent, independent, error),
        mean + spread,
        channels.scale_odds(mean, tolerance),
        BOUNDARY_MIN,
    )
    if high > BOUNDARY_MAX:
        return BOUNDARY_MAX, _reach(high)
    # A rate seen never or a few times is wide in odds though narrow in itself: it is measured from the edge that a rate
    # never seen would have.
    origin = max(mean, confidence_high(0.0, independent, error))
    ratio = high * (1.0 - origin) / (origin * (1.0 - high)) if origin < 1.0 else 1.0
    if ratio > odds_max * (1.0 + _ROUNDING) and high > NARROW_BELOW:
        return high, f"its odds may change {ratio:.1f}-fold by themselves, more than {odds_max:g}"
    return high, None


def shifted_tail(mean: float, shift: float) -> float:
    """What becomes of a tail that holds a share ``mean`` of a value when its mean rank shifts, as of a normal value.

    >>> round(tail_after(0.01, 0.1), 4)
    0.0247
    """
    inside = min(max(mean, 1e-9), 1.0 - 1e-9)
    return float(ndtr(ndtri(inside) + 2.0**0.5 * ndtri(0.5 + shift)))


def _day_floor(channel: Channel, name: str, settings: DetectSettings, span_s: float) -> float:
    if span_s >= FLOOR_DAYS * DAY_S or settings.ready_after_s < DAY_S:
        return 0.0
    if name == "rate":
        return DEVIATIONS * FLOOR_RELATIVE * min(channel.mean, 1.0 - channel.mean)
    shift = DEVIATIONS * FLOOR_RANK
    if name not in channels.BINARY:
        return shift
    # It is meant to widen a band, not to make it too wide to be judged.
    return (
        min(shifted_tail(channel.mean, shift), channels.scale_odds(channel.mean, settings.band_odds_max)) - channel.mean
    )


def _reach(high: float) -> str | None:
    return "it cannot move that way" if high > BOUNDARY_MAX else None
