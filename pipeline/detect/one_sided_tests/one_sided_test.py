"""The one-sided tests of a baseline, with their null boundaries, bets and thresholds."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.one_sided_tests.band import compute_band, excludes_tolerance
from pipeline.detect.one_sided_tests.bets import BETS, departure_bets, interpolate_odds, recovery_bets, share_bets
from pipeline.detect.one_sided_tests.not_testable import NotTestable
from pipeline.detect.one_sided_tests.overdue import find_overdue_obstacle
from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.signals import ChannelName, Signal, channels
from schemas.baseline import Baseline, Channel
from schemas.drift import Direction, Tier

YEAR_S = 365.25 * DAY_S
WEEK_S = 7 * DAY_S

THRESHOLD_STEP = 0.5
"""Thresholds are rounded up to a multiple of this step, which gives similar subjects equal thresholds."""

BUDGET_DIMENSIONS_MAX = 2
"""Number of segment dimensions that the false-alarm budget assumes, because a baseline does not list its dimensions."""

NONSTATIONARY = "its mean was still moving while the baseline was learned"
"""Reason why a channel that was not stationary in the baseline is not testable."""

NEVER_DEMOTED = frozenset(
    {
        "cost_increase",
        "empty_output",
        "filter_disabled",
        "filter_over_blocking",
        "hallucination_spike",
        "identical_output",
        "jailbreak_wave",
        "latency_degradation",
        "null_values",
        "outage",
        "pii_exposure",
        "policy_violations",
        "prompt_injection_wave",
        "refusal_spike",
        "retrieval_quality",
        "schema_change",
        "silence",
        "tool_failures",
    }
)
"""Failure modes that can be a P1 or P2, and are therefore never demoted to tickets. The set includes
``filter_over_blocking``, because a filter that triggers less often may be disabled."""

ASSUMED_RECORDS_PER_S = 100.0
"""Records per second that the false-alarm budget of a test without a baseline assumes for a subject."""

CrossingKey = tuple[str, str, str]
"""Signal, channel and direction of a test. Tests of all tiers share this key."""

RECOVERY_SHARE = 0.25
"""Position of the recovery's null boundary, as a share of the way from the null boundary to the mean at firing. With
higher values, a test recovers earlier but more often by mistake."""


@dataclass(frozen=True, slots=True, eq=False)
class OneSidedTest:
    """One-sided CUSUM test of a channel with eight bets.

    The null hypothesis is that the mean of the channel, given the past, is at most ``null_boundary`` (at least, for a
    falling test). For a stake ``λ`` and the boundary ``b``, the evidence of a record ``x`` is
    ``ln(1 + λ·(x - b)) * weight``. The test statistic of a bet is Page's CUSUM of its evidence. The test fires when
    the largest statistic reaches the threshold. The CUSUM of an e-process is an e-detector: with ``weight`` 1, on
    average at least ``exp(threshold) / 8`` records pass between false alarms.

    Attributes
    ----------
    null_boundary
        End of the band in this direction. The band of a rate at the tier ticket excludes the tolerance as soon as its
        baseline covers two days, because the bets then take the tolerance into account.
    smallest_mean
        The mean nearest to the baseline's that matters at this tier: the end of the band including the tolerance.
    stakes
        Shape ``(8,)``: stakes of the bets that the mean is beyond the null boundary, negative for a falling test.
    mean, variance
        Mean and variance of the channel in the baseline.
    weight
        Weight of one record: 1 / autocorrelation time.
    threshold
        Value of the test statistic at which the test fires.
    PAGE_RECORDS
        Minimum records from the estimated start to a page, unless two tenants are affected: fewer may be one user's.
    SETTINGS
        Names of the settings that :func:`derive_tests` reads.

    References
    ----------
    Page, E. S. 1954. Continuous inspection schemes. Biometrika 41(1/2).

    Hinkley, D. V. 1971. Inference about the change-point from cumulative sum tests. Biometrika 58(3).

    Shin, J., Ramdas, A., and Rinaldo, A. 2022. E-detectors: a nonparametric framework for sequential change detection.
    """

    signal: Signal
    channel: ChannelName
    direction: Direction
    tier: Tier
    null_boundary: float
    smallest_mean: float
    stakes: NDArray[np.float64]
    mean: float
    variance: float
    weight: float
    threshold: float

    PAGE_RECORDS: ClassVar = 20
    SETTINGS: ClassVar = (
        "ready_after_s",
        "false_pages_per_year",
        "false_tickets_per_week",
        "fleet_subjects",
        "page_rate_odds",
        "page_tail_odds",
        "page_rank_shift",
        "ticket_rate_odds",
        "ticket_rank_shift",
        "band_odds_max",
        "band_rank_max",
        "segments",
        "signals",
    )

    @classmethod
    def with_fixed_boundary(
        cls, signal: Signal, tier: Literal["page", "ticket"], boundary: float, settings: DetectSettings
    ) -> "OneSidedTest":
        """Return a test of whether a share is above a fixed boundary, without a baseline.

        The guesses of its bets start near the boundary, as for a value. Its threshold assumes
        ``ASSUMED_RECORDS_PER_S``.
        """
        variance = boundary * (1.0 - boundary)
        return cls(
            signal=signal,
            channel="rate",
            direction="up",
            tier=tier,
            null_boundary=boundary,
            smallest_mean=boundary,
            stakes=departure_bets(boundary, variance, binary=False),
            mean=boundary / 2.0,
            variance=variance,
            weight=1.0,
            threshold=cls.fixed_threshold(tier, ASSUMED_RECORDS_PER_S, settings),
        )

    @classmethod
    def of_share(
        cls, signal: Signal, *, rising: bool, boundary: float, mean: float, weight: float, threshold: float
    ) -> "OneSidedTest":
        """Return a ticket test of a share of the records with a signal. It has two bets: a small and a large change."""
        null = boundary if rising else 1.0 - boundary
        stakes = share_bets(null)
        return cls(
            signal=signal,
            channel="rate",
            direction="up" if rising else "down",
            tier="ticket",
            null_boundary=boundary,
            smallest_mean=boundary,
            stakes=stakes if rising else -stakes,
            mean=mean,
            variance=mean * (1.0 - mean),
            weight=weight,
            threshold=threshold,
        )

    @staticmethod
    def fixed_threshold(tier: Literal["page", "ticket"], updates_per_s: float, settings: DetectSettings) -> float:
        """Return the threshold of a test that does not share its budget with the tests of a baseline.

        >>> OneSidedTest.fixed_threshold("ticket", 1 / 60, DetectSettings())
        13.0
        """
        pages_per_s, tickets_per_s = settings.false_pages_per_year / YEAR_S, settings.false_tickets_per_week / WEEK_S
        budget_per_s = pages_per_s if tier == "page" else tickets_per_s
        return compute_threshold(fleet_updates_per_s(updates_per_s, 0, settings.fleet_subjects), budget_per_s)

    @property
    def crossing_key(self) -> CrossingKey:
        """Signal, channel and direction."""
        return self.signal.name, self.channel, self.direction

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Signal, channel, direction and tier. No two tests of a baseline have the same key."""
        return (*self.crossing_key, self.tier)

    @property
    def rising(self) -> bool:
        """Whether the test detects a rise of the channel's mean."""
        return channels.mean_rises(self.channel, self.direction)

    @property
    def is_demotable(self) -> bool:
        """Whether the test pages and may be demoted to a ticket."""
        return self.tier == "page" and self.signal.failure_mode not in NEVER_DEMOTED

    def with_level(self, mean: float, boundary: float) -> "OneSidedTest":
        """Return the test with another normal mean, and the null boundary that belongs to it."""
        null, binary = boundary if self.rising else 1.0 - boundary, self.channel in channels.BINARY
        variance = mean * (1.0 - mean) if binary else self.variance
        bets = departure_bets(null, variance, binary=binary) * (1.0 if self.rising else -1.0)
        moved = replace(self, null_boundary=boundary, smallest_mean=boundary, mean=mean)
        return replace(moved, variance=variance, stakes=bets)

    def recovery_test(self, firing_mean: float) -> tuple[float, NDArray[np.float64]]:
        """Return the null boundary of the recovery and the bets against it, shape ``(8,)``.

        The boundary lies a quarter of the way, in log-odds, from the test's null boundary to the mean at firing. With
        the test's null boundary, a rate of 1 in 1,000 would need 70,000 records to recover.

        >>> import numpy as np
        >>> from pipeline.detect.signals.catalogue import SIGNALS
        >>> test = OneSidedTest(SIGNALS[2], "rate", "up", "page", 0.015, 0.015, np.zeros(8), 0.01, 0.01, 1.0, 28.0)
        >>> round(test.recovery_test(0.2)[0], 4), test.recovery_test(0.012)[0]
        (0.0297, 0.015)
        """
        outside = firing_mean > self.null_boundary if self.rising else firing_mean < self.null_boundary
        null = interpolate_odds(self.null_boundary, firing_mean, RECOVERY_SHARE) if outside else self.null_boundary
        binary = self.channel in channels.BINARY
        if self.rising:
            return null, -recovery_bets(1.0 - null, 1.0 - self.mean, self.variance, binary=binary)
        return null, recovery_bets(null, self.mean, self.variance, binary=binary)


class _Candidate(NamedTuple):
    signal: Signal
    channel: ChannelName
    direction: Direction
    tier: Tier
    learned: Channel


def derive_tests(
    baseline: Baseline, settings: DetectSettings, *, is_sampled: bool = False
) -> tuple[list[OneSidedTest], list[NotTestable]]:
    """Derive the tests of a baseline: the tests to run, and the tests that cannot be run.

    Both lists follow the order of the signals in the baseline, and then the order of the channels. Signals that are not
    in the catalogue and values without knots are skipped.

    Parameters
    ----------
    is_sampled
        Whether the records to test are sampled by outcome. If so, or if the records of the baseline were, signals that
        depend on the outcome are not testable.
    """
    is_sampled = is_sampled or baseline.sampled is not None
    candidates = _list_candidates(baseline, settings)
    # The records of one moment have the same age, so no budget per record describes how often an age is overdue.
    counted = [candidate for candidate in candidates if candidate.channel != channels.OVERDUE]
    thresholds = _tier_thresholds(baseline, settings, counted)
    span_s = (baseline.learned_to - baseline.learned_from) / 1000
    tests: list[OneSidedTest] = []
    not_testable: list[NotTestable] = []
    for signal, channel, direction, tier, learned in candidates:
        location = baseline.signals[signal.name].channels.get("location")
        band = compute_band(
            learned,
            channel,
            tier,
            settings,
            test_count=len(counted),
            span_s=span_s,
            location_deviation=0.0 if location is None else location.slice_deviation,
        ).include_means(signal, baseline.signals[signal.name], channel, learned.mean)
        rising, ages = channels.mean_rises(channel, direction), baseline.signals[signal.name].ages
        if is_sampled and channels.depends_on_outcome(signal):
            reason: str | None = NotTestable.SAMPLED_BY_OUTCOME
        elif learned.moving:
            reason = NONSTATIONARY
        elif (
            channel == channels.OVERDUE
            and ages is not None
            and (obstacle := find_overdue_obstacle(ages, tier, signal.smallest))
        ):
            reason = obstacle
        else:
            reason = band.high_not_testable if rising else band.low_not_testable
        if reason is not None:
            not_testable.append(NotTestable(signal, channel, direction, tier, reason))
            continue
        boundary, smallest = (band.high_null, band.high) if rising else (band.low_null, band.low)
        null, smallest_guess = (boundary, smallest) if rising else (1.0 - boundary, 1.0 - smallest)
        stakes = departure_bets(
            null,
            learned.variance,
            binary=channel in channels.BINARY,
            smallest=smallest_guess if excludes_tolerance(channel, tier, span_s) else None,
        )
        tests.append(
            OneSidedTest(
                signal=signal,
                channel=channel,
                direction=direction,
                tier=tier,
                null_boundary=boundary,
                smallest_mean=smallest,
                stakes=stakes if rising else -stakes,
                mean=learned.mean,
                variance=learned.variance,
                weight=1.0 / learned.autocorrelation_time,
                threshold=thresholds[tier],
            )
        )
    return tests, not_testable


def _list_candidates(baseline: Baseline, settings: DetectSettings) -> list[_Candidate]:
    candidates: list[_Candidate] = []
    for name, learned in baseline.signals.items():
        signal = channels.find_signal(name, learned.kind, baseline.subject, settings)
        if signal is None or (learned.kind != "rate" and learned.knots is None):
            continue
        for channel, direction in channels.bad_directions(signal):
            if channel not in learned.channels or (channel == channels.OVERDUE and learned.ages is None):
                continue
            # An age that is reset grows for many records in a row, so its mean and its tail move in every cycle.
            if channel == channels.OVERDUE or learned.ages is None or not learned.ages.resets:
                candidates += [
                    _Candidate(signal, channel, direction, tier, learned.channels[channel])
                    for tier in channels.tiers(signal, channel)
                ]
    return candidates


def _tier_thresholds(baseline: Baseline, settings: DetectSettings, candidates: list[_Candidate]) -> dict[Tier, float]:
    """Return the threshold of each tier from its false-alarm budget, which the fleet shares.

    The fleet is assumed to consist of subjects like this one. Only page tests run per segment value. The tier ``cause``
    uses the budget of pages.
    """
    seconds = max(1.0, (baseline.learned_to - baseline.learned_from) / 1000)
    updates_per_s: dict[Tier, float] = {"page": 0.0, "ticket": 0.0, "cause": 0.0}
    for candidate in candidates:
        updates_per_s[candidate.tier] += baseline.signals[candidate.signal.name].count / seconds
    pages_per_s = settings.false_pages_per_year / YEAR_S
    tickets_per_s = settings.false_tickets_per_week / WEEK_S
    dimensions, subjects = min(len(settings.segments), BUDGET_DIMENSIONS_MAX), settings.fleet_subjects
    return {
        "page": compute_threshold(fleet_updates_per_s(updates_per_s["page"], dimensions, subjects), pages_per_s),
        "ticket": compute_threshold(fleet_updates_per_s(updates_per_s["ticket"], 0, subjects), tickets_per_s),
        "cause": compute_threshold(fleet_updates_per_s(updates_per_s["cause"], 0, subjects), pages_per_s),
    }


def fleet_updates_per_s(updates_per_s: float, dimensions: int, subjects: int) -> float:
    """Return the number of test updates per second of a fleet.

    A record updates the tests of its subject and the tests of one value per segment dimension.

    Parameters
    ----------
    updates_per_s
        Updates of one subject: records per second that carry the signal of a test, summed over its tests.
    dimensions
        Number of monitored segment dimensions.
    subjects
        Number of subjects in the fleet.

    >>> compute_threshold(fleet_updates_per_s(100 * 50, 2, 10), 1 / YEAR_S)
    31.5
    """
    return updates_per_s * (1 + dimensions) * subjects


def compute_threshold(updates_per_s: float, false_alarms_per_s: float) -> float:
    """Return the threshold for a false-alarm budget: ``ln(max(e, 8 * updates / false alarms))``, rounded up to 0.5.

    >>> compute_threshold(100 * 50, 1 / YEAR_S)
    28.0
    """
    exact = math.log(max(math.e, BETS * updates_per_s / false_alarms_per_s))
    return math.ceil(exact / THRESHOLD_STEP) * THRESHOLD_STEP
