"""The sides that a baseline has watched: signal, channel, direction and tier, each with its edge, bets and threshold."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import NONSTATIONARY
from pipeline.detect.one_sided_tests.band import compute_band
from pipeline.detect.one_sided_tests.bets import BETS, departure_bets, interpolate_odds, recovery_bets
from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.signals import ChannelName, Signal, channels
from schemas.baseline import Baseline, Channel
from schemas.drift import Direction, Tier

YEAR_S = 365.25 * DAY_S
WEEK_S = 7 * DAY_S

THRESHOLD_STEP = 0.5
"""Thresholds are rounded up to this, so that equal subjects have equal ones."""

DIMENSIONS_RECKONED = 2
"""Segment dimensions with more than one value that thresholds reckon with: a baseline does not tell how many there are."""

PAGE_RECORDS = 20
"""Records since its start that a page needs: fewer are one user's bad minute. Two tenants that show it are as good."""

PROBE_SIGNALS = frozenset({"probe_blocked"})
"""Signals whose every record is a trial made on purpose: there are few, and each is meant to count."""

NEVER_DEMOTED = frozenset(
    {
        "pii_exposure",
        "filter_disabled",
        "policy_violations",
        "jailbreak_wave",
        "prompt_injection_wave",
        "outage",
        "empty_output",
        "identical_output",
        "silence",
        "retrieval_quality",
        "schema_change",
        "latency_degradation",
        "filter_over_blocking",
        "refusal_spike",
        "hallucination_spike",
        "null_values",
    }
)
"""Failure modes that can be a P1 or P2 by what they are: that they page often is no reason to page less. (A filter that
triggers less is one that was disabled.)"""

Moved = tuple[str, str, str]
"""What moved where, at whatever tier: signal, channel and direction."""

BACK_SHARE = 0.25
"""Share of the way from the edge to the worst that is surely no recovery; more is sooner, and wrong more often."""


@dataclass(frozen=True, slots=True, eq=False)
class OneSidedTest:
    """One walk to be. A record x (the channel's number) is ln(1 + stake * (x - edge)) * weight of evidence.

    Attributes
    ----------
    edge
        The band's edge: the mean beyond which it is news.
    stakes
        Shape ``(8,)``: bets that the mean is beyond the edge; negative where the mean falls.
    mean, variance
        Of the channel in the baseline.
    weight
        What one record counts, 1 / autocorrelation time.
    threshold
        Evidence at which it fires.
    """

    signal: Signal
    channel: ChannelName
    direction: Direction
    tier: Tier
    null_boundary: float
    stakes: NDArray[np.float64]
    mean: float
    variance: float
    weight: float
    threshold: float

    @property
    def crossing_key(self) -> Moved:
        """What would have moved where, if it fired."""
        return self.signal.name, self.channel, self.direction

    @property
    def rising(self) -> bool:
        """Whether the channel's mean grows on this side."""
        return channels.mean_rises(self.channel, self.direction)

    def recovery_test(self, worst: float) -> tuple[float, NDArray[np.float64]]:
        """The null of a recovery, and the bets against it, shape ``(8,)``.

        The null is that the mean is still at least a quarter of the way, in log-odds, from the edge to ``worst``, the
        mean with which the side fired. Against the edge itself, a rate of 1 in 1,000 would need 70,000 records to be called back.

        >>> import numpy as np
        >>> from pipeline.detect.signals.catalogue import SIGNALS
        >>> side = Side(SIGNALS[2], "rate", "up", "page", 0.015, np.zeros(8), 0.01, 0.01, 1.0, 28.0)
        >>> round(side.way_back(0.2)[0], 4), side.way_back(0.012)[0]
        (0.0297, 0.015)
        """
        beyond = worst > self.null_boundary if self.rising else worst < self.null_boundary
        null = interpolate_odds(self.null_boundary, worst, BACK_SHARE) if beyond else self.null_boundary
        binary = self.channel in channels.BINARY
        if self.rising:
            return null, -recovery_bets(1.0 - null, 1.0 - self.mean, self.variance, binary=binary)
        return null, recovery_bets(null, self.mean, self.variance, binary=binary)


@dataclass(frozen=True, slots=True)
class NotTestable:
    """A side that is not watched, and why."""

    signal: Signal
    channel: ChannelName
    direction: Direction
    tier: Tier
    reason: str


def derive_tests(baseline: Baseline, settings: DetectSettings) -> tuple[list[OneSidedTest], list[NotTestable]]:
    """The sides to watch against a baseline, in the catalogue's order of channels, and those that cannot be judged."""
    wanted: list[tuple[Signal, ChannelName, Direction, Tier, Channel]] = []
    for name, learned in baseline.signals.items():
        signal = channels.signal_by_name(name, learned.kind)
        if signal is None or (learned.kind != "rate" and learned.knots is None):
            continue
        for channel, direction in channels.bad_directions(signal):
            if channel in learned.channels:
                wanted += [
                    (signal, channel, direction, tier, learned.channels[channel])
                    for tier in channels.tiers(signal, channel)
                ]
    thresholds = _thresholds(baseline, settings, [(signal.name, tier) for signal, _, _, tier, _ in wanted])
    span_s = (baseline.learned_to - baseline.learned_from) / 1000
    sides: list[OneSidedTest] = []
    unjudged: list[NotTestable] = []
    for signal, channel, direction, tier, learned_channel in wanted:
        edges = compute_band(learned_channel, channel, tier, settings, sides=len(wanted), span_s=span_s)
        rising = channels.mean_rises(channel, direction)
        refusal = NONSTATIONARY if learned_channel.moving else edges.high_refusal if rising else edges.low_refusal
        if refusal is not None:
            unjudged.append(NotTestable(signal, channel, direction, tier, refusal))
            continue
        edge = edges.high if rising else edges.low
        null = edge if rising else 1.0 - edge
        beyond = departure_bets(null, learned_channel.variance, binary=channel in channels.BINARY)
        sides.append(
            OneSidedTest(
                signal=signal,
                channel=channel,
                direction=direction,
                tier=tier,
                null_boundary=edge,
                stakes=beyond if rising else -beyond,
                mean=learned_channel.mean,
                variance=learned_channel.variance,
                weight=1.0 / learned_channel.autocorrelation_time,
                threshold=thresholds[tier],
            )
        )
    return sides, unjudged


def _thresholds(baseline: Baseline, settings: DetectSettings, sides: list[tuple[str, Tier]]) -> dict[Tier, float]:
    """Evidence for each tier at which false alarms are as rare as wished: ln(bets x updates / false alarms).

    Wished of the whole fleet, so all its subjects are taken to be like this one. Only page sides are watched by segment.
    A cause is held to the standard of a page.
    """
    seconds = max(1.0, (baseline.learned_to - baseline.learned_from) / 1000)
    updates_per_s: dict[Tier, float] = {"page": 0.0, "ticket": 0.0, "cause": 0.0}
    for name, tier in sides:
        updates_per_s[tier] += baseline.signals[name].count / seconds
    page = settings.false_pages_per_year / YEAR_S
    ticket = settings.false_tickets_per_week / WEEK_S
    dimensions, subjects = min(len(settings.segments), DIMENSIONS_RECKONED), settings.fleet_subjects
    return {
        "page": threshold(fleet_updates(updates_per_s["page"], dimensions, subjects), page),
        "ticket": threshold(fleet_updates(updates_per_s["ticket"], 0, subjects), ticket),
        "cause": threshold(fleet_updates(updates_per_s["cause"], 0, subjects), page),
    }


def fleet_updates(updates_per_s: float, dimensions: int, subjects: int) -> float:
    """Walks that a fleet takes on each second: a record moves its subject's, and those of one value of each dimension.

    Parameters
    ----------
    updates_per_s
        Of one subject: over its sides, the records a second that carry their signals.
    dimensions
        Segment dimensions that are watched.

    >>> threshold(fleet_updates(100 * 50, 2, 10), 1 / YEAR_S)
    31.5
    """
    return updates_per_s * (1 + dimensions) * subjects


def threshold(updates_per_s: float, false_alarms_per_s: float) -> float:
    """The evidence at which walks fire, rounded up to a half.

    >>> threshold(100 * 50, 1 / YEAR_S)
    28.0
    """
    needed = math.log(max(math.e, BETS * updates_per_s / false_alarms_per_s))
    return math.ceil(needed / THRESHOLD_STEP) * THRESHOLD_STEP
