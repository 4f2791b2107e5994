"""The tests of shapes: which shares of a value's distribution may rise or fall, and how far is normal."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from pipeline.detect.one_sided_tests import OneSidedTest, compute_band
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, Signal, channels
from schemas.baseline import Baseline, Channel, SignalBaseline, ValueShape
from schemas.drift import Direction

WINDOW_PANES = 60
"""Minimum length of a window in panes. Tests of shapes are evaluated once per window."""

EXCLUDED = frozenset({"throughput_ratio", "spend_ratio"})
"""Values that are computed from many records, so their distribution depends on the traffic."""

SHARE_MIN = 0.002
"""Smallest null boundary of a falling share. A smaller share could not be missed within a reasonable time."""

SHARE_MAX = 0.95
"""Largest null boundary of a rising share."""

IMPLAUSIBLE_SHARE = 0.75
"""Share of the records in the best bin, normally 2 %, that is no improvement but another unit, or answers without work."""

_MIDDLE = channels.BINS // 2
_SHIFTS = np.linspace(-1.0, 1.0, 9)


class ShapeTest(NamedTuple):
    """A test of the share of one bin. ``value`` is the index of its signal among the values of the layout."""

    value: int
    bin: int
    test: OneSidedTest

    @property
    def side(self) -> Direction:
        """Direction in which the signal moves."""
        return find_side(self.bin, rising=self.test.rising)


def find_side(number: int, *, rising: bool) -> Direction:
    """Return the direction in which a signal moves: ``up`` if a high bin has more values, or a low bin has fewer."""
    return "up" if rising == (number >= _MIDDLE) else "down"


def derive_shape_tests(
    baseline: Baseline, values: list[Signal], settings: DetectSettings, *, is_sampled: bool
) -> list[ShapeTest]:
    """Return the tests of the shapes of values.

    Parameters
    ----------
    values
        The monitored values, in the order of the layout.
    is_sampled
        Whether the records are sampled by outcome. Values that depend on the outcome are then not tested.
    """
    is_sampled = is_sampled or baseline.sampled is not None
    span_s = (baseline.learned_to - baseline.learned_from) / 1000
    tested = []
    for index, signal in enumerate(values):
        learned = baseline.signals[signal.name]
        is_dependent = is_sampled and channels.depends_on_outcome(signal)
        if signal.role == "cause" or signal.kind == "age" or signal.name in EXCLUDED or is_dependent:
            continue
        shift = _normal_shift(learned, settings, span_s, test_count=len(values))
        if learned.shape is not None and shift is not None:
            tested.append((index, signal, learned, learned.shape, shift))
    updates_per_s = len(tested) * 2 * channels.BINS * 1000 / (WINDOW_PANES * PANE_MS)
    threshold = OneSidedTest.fixed_threshold("ticket", updates_per_s, settings)
    return [
        ShapeTest(
            index,
            number,
            OneSidedTest.of_share(
                signal,
                rising=rising,
                boundary=boundary,
                mean=shape.shares[number],
                weight=1.0 / shape.autocorrelation_times[number],
                threshold=threshold,
            ),
        )
        for index, signal, learned, shape, shift in tested
        for number, rising, boundary in _list_boundaries(
            signal, learned, shape, shift, settings, span_s, test_count=16 * len(tested)
        )
    ]


def _normal_shift(learned: SignalBaseline, settings: DetectSettings, span_s: float, *, test_count: int) -> float | None:
    """Return by how much the mean rank of a value may move without a ticket, or None if it is not known.

    A move of the mean changes all shares, so the shares may change as much as this move explains.
    """
    location = learned.channels.get("location")
    if location is None or location.moving:
        return None
    band = compute_band(location, "location", "ticket", settings, test_count=test_count, span_s=span_s)
    half = band.high - min(max(location.mean, 0.0), 1.0)
    return half if half <= settings.band_rank_max else None


def _list_boundaries(
    signal: Signal,
    learned: SignalBaseline,
    shape: ValueShape,
    shift: float,
    settings: DetectSettings,
    span_s: float,
    *,
    test_count: int,
) -> Iterator[tuple[int, bool, float]]:
    """Yield the bin, the direction (rising or not) and the null boundary of each test."""
    for number, share in enumerate(shape.shares):
        channel = Channel(
            mean=share,
            variance=share * (1.0 - share),
            autocorrelation_time=shape.autocorrelation_times[number],
            slice_deviation=shape.slice_deviations[number],
            count=learned.channels["location"].count,
        )
        band = compute_band(channel, "rate", "page", settings, test_count=test_count, span_s=span_s)
        band = band.include_share(signal, learned, number, share)
        low, high = shares_after_shift(number, share, shift)
        low, high = min(band.low, low), max(band.high, high)
        for rising in (True, False):
            if signal.direction not in (find_side(number, rising=rising), "both"):
                if rising and number in (0, channels.BINS - 1) and high < IMPLAUSIBLE_SHARE:
                    yield number, rising, IMPLAUSIBLE_SHARE
                continue
            if rising and high <= SHARE_MAX:
                yield number, rising, high
            elif not rising and low >= SHARE_MIN:
                yield number, rising, low


def shares_after_shift(number: int, share: float, shift: float) -> tuple[float, float]:
    """Return the smallest and the largest share of a bin after a shift of the mean rank by up to ``shift``.

    The odds of the share change as they do for a normal distribution whose bins have the widths of the ranks.

    >>> [round(limit, 3) for limit in shares_after_shift(0, 0.02, 0.15)]
    [0.005, 0.066]
    """
    edges = ndtri(np.array(channels.RANK_EDGES[number : number + 2]))
    moves = 2.0**0.5 * ndtri(0.5 + min(shift, 0.49)) * _SHIFTS
    widths = ndtr(edges[1] - moves) - ndtr(edges[0] - moves)
    width = channels.RANK_EDGES[number + 1] - channels.RANK_EDGES[number]
    ratios = widths / (1.0 - widths) * (1.0 - width) / width
    return channels.scale_odds(share, float(ratios.min())), channels.scale_odds(share, float(ratios.max()))
