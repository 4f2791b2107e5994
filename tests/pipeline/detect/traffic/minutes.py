"""Simulated requests per minute for tests of traffic.

The constants of the test were chosen with seeds below 100. Tests use ``SEEDS``, and were written down before they ran.
"""

import numpy as np

from pipeline.detect.losses import RequestLoss
from pipeline.detect.settings import DetectSettings
from pipeline.detect.traffic import MinuteRequests, RequestWindows
from schemas.baseline import Baseline, Traffic

SEEDS = range(1001, 1021)

DAY = 1440
"""Minutes per day."""

THURSDAY = 20_789 * DAY
"""The minute in which 2026-12-03 begins, a Thursday."""

SILENCE_AFTER_S = 600.0


def minute_requests(counts, start=THURSDAY):
    """Return the minutes with requests, each with the number of minutes without any after it."""
    found = [index for index, count in enumerate(counts) if count > 0 or index == 0]
    following = [*found[1:], len(counts)]
    return [
        MinuteRequests(start + index, float(counts[index]), float(counts[index]), after - index - 1)
        for index, after in zip(found, following, strict=True)
    ]


def learned(counts, start=THURSDAY) -> Traffic | None:
    """What a baseline of these minutes expects."""
    windows = RequestWindows()
    windows.add(minute_requests(counts, start))
    return windows.learn()


def baseline_with(traffic) -> Baseline:
    """A baseline without signals."""
    return Baseline(
        subject="bot",
        baseline_version="v1",
        source="file",
        learned_from=1_796_256_000_000,
        learned_to=1_796_342_400_000,
        records=1000,
        signals={},
        traffic=traffic,
    )


def request_loss(traffic) -> RequestLoss:
    """A test with what a baseline expects."""
    loss = RequestLoss(DetectSettings())
    loss.apply_baseline(baseline_with(traffic))
    return loss


def daily_cycle(minutes, per_minute, factor, start=THURSDAY):
    """Means with a daily cycle, whose busiest hour has ``factor`` times the requests of its quietest."""
    phase = np.arange(start, start + minutes) / DAY - 0.375
    return per_minute * np.exp(np.log(factor) / 2 * np.sin(phase * 2 * np.pi))


def is_weekend(minutes, start=THURSDAY):
    """Return a mask of the minutes of Saturdays and Sundays."""
    return (np.arange(start, start + minutes) // DAY + 3) % 7 >= 5


def office_hours(minutes, per_minute, start=THURSDAY, *, night=0.0, weekend=0.02):
    """Means of an assistant that is used in the office: a lunch break, nights, and weekends."""
    hours = np.arange(start, start + minutes) / 60 % 24
    points = [0, 7, 9, 12, 12.5, 13.5, 17, 18.5, 24]
    shape = np.interp(hours, points, [night, night, 1, 1, 0.6, 1, 1, night, night])
    return per_minute * np.where(is_weekend(minutes, start), np.maximum(shape * weekend, night / 2), shape)


def draw(random, means, spread=1.0):
    """Counts with these means, and a variance of ``spread`` times the mean."""
    means = np.asarray(means, dtype=np.float64)
    if spread > 1.0:
        means = random.gamma(means / (spread - 1.0) + 1e-12, spread - 1.0)
    return random.poisson(means)
