"""Arrivals of requests at the assistant: tenants with their own hours, cron jobs, night batches and weekends."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from load.score.assistant.events import Stage
from load.score.assistant.smooth_noise import smooth_noise
from load.world import noise
from schemas.drift import MINUTE_MS
from schemas.topics import DAY_MS, HOUR_MS


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant. ``share`` is its part of the requests of a weekday, ``first`` and ``last`` are its busy hours in UTC.

    Attributes
    ----------
    night
        Requests outside the busy hours, relative to those inside.
    weekend
        Requests of a day at weekends, relative to a weekday.
    lengths
        Factor applied to the lengths of its inputs.
    confidence
        Difference of the confidence of its answers from the mean.
    """

    name: str
    share: float
    first: float
    last: float
    night: float
    weekend: float
    lengths: float
    confidence: float


TENANTS = (
    Tenant("northbank", 0.34, 7.0, 17.0, 0.1, 0.1, 1.25, 0.01),
    Tenant("shopline", 0.26, 15.0, 23.0, 0.3, 1.3, 0.7, -0.01),
    Tenant("medico", 0.20, 13.0, 22.0, 0.15, 0.3, 1.5, 0.0),
    Tenant("campus", 0.12, 8.0, 20.0, 0.1, 0.4, 1.0, 0.01),
    Tenant("travelo", 0.08, 4.0, 22.0, 0.6, 1.1, 0.9, -0.02),
)
NEW_TENANT = Tenant("fjordlabs", 0.0, 6.0, 16.0, 0.1, 0.1, 1.3, 0.0)
"""Tenant that exists only in events."""

OFFICE_TENANT = Tenant("northbank", 1.0, 8.0, 18.0, 0.0, 0.0, 1.0, 0.0)
"""The only tenant of the office variant: nobody asks outside its hours, or at weekends."""

CRON_TENANT, BATCH_TENANT = "jobs", "batch"

CRON_REQUESTS, CRON_SPREAD_MS, CRON_PEAK_HOUR = 24.0, 20_000, 6
"""Mean number of requests that a cron job sends at the start of every hour for a service of two requests per second, the
milliseconds over which it spreads them, and the hour (UTC) at which it sends four times as many."""

BATCH_HOURS, BATCH_SHARE = (0.5, 1.75), 0.6
"""Hours (UTC) of the nightly batch, and its requests per second relative to the mean of the service."""

TRAFFIC_SPREAD = 0.08
"""Standard deviation of the logarithm of the request rate over tens of minutes."""

EDGE_H = 1.0
"""Hours over which a tenant's requests rise and fall at the edges of its busy hours."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Requests in time order: Unix milliseconds and names of the tenants, shape ``(N,)`` each."""

    times_ms: NDArray[np.int64]
    tenants: NDArray[np.object_]


def draw_arrivals(
    random: np.random.Generator, seed: int, start_ms: int, end_ms: int, per_second: float, stage: Stage, *, office: bool
) -> Arrivals:
    """Draw the requests from ``start_ms`` up to ``end_ms``, at most a few hours.

    Parameters
    ----------
    random
        Random number generator of this period.
    seed
        Seed of the service, for the noise that periods have in common.
    start_ms, end_ms
        Unix milliseconds. The end is exclusive.
    per_second
        Mean requests per second of a weekday.
    stage
        Conditions of the period.
    office
        Whether only an office uses the assistant, from Monday to Friday.
    """
    edges_ms = np.append(np.arange(start_ms, end_ms, MINUTE_MS), end_ms)
    minutes_ms, lengths_ms = edges_ms[:-1], np.diff(edges_ms)
    level = np.exp(TRAFFIC_SPREAD * smooth_noise(seed, "traffic", minutes_ms)) * per_second * stage.traffic
    local_ms = minutes_ms + round(stage.clock_shift_h * HOUR_MS)
    times: list[NDArray[np.int64]] = []
    names: list[NDArray[np.object_]] = []
    for tenant in _present_tenants(stage, office=office):
        share = stage.new_tenant if tenant is NEW_TENANT else tenant.share
        profile = _profile(tenant, local_ms, is_quiet_day=stage.as_weekend)
        counts = random.poisson(level * share * profile * lengths_ms / 1000.0)
        at_ms = np.repeat(minutes_ms, counts) + random.random(counts.sum()) * np.repeat(lengths_ms, counts)
        times.append(at_ms.astype(np.int64))
        names.append(np.full(times[-1].size, tenant.name, dtype=object))
    if not office:
        for name, at_ms in (
            (CRON_TENANT, _draw_cron(random, start_ms, end_ms, per_second, stage)),
            (BATCH_TENANT, _draw_batch(random, start_ms, end_ms, per_second, stage)),
        ):
            times.append(at_ms)
            names.append(np.full(at_ms.size, name, dtype=object))
    times_ms, tenants = np.concatenate(times), np.concatenate(names)
    order = np.argsort(times_ms, kind="stable")
    return Arrivals(times_ms[order], tenants[order])


def _present_tenants(stage: Stage, *, office: bool) -> list[Tenant]:
    if office:
        return [OFFICE_TENANT]
    present = [tenant for tenant in TENANTS if tenant.name != stage.absent_tenant]
    return [*present, NEW_TENANT] if stage.new_tenant else present


def _profile(tenant: Tenant, times_ms: NDArray[np.int64], *, is_quiet_day: bool) -> noise.Floats:
    """Return the requests of a tenant at each time, relative to its mean over a weekday."""
    grid_h = np.arange(0.0, 24.0, 0.05)
    mean = float(_busyness(tenant, grid_h).mean())
    hours = (times_ms % DAY_MS) / HOUR_MS
    weekend = noise.is_weekend(times_ms) | is_quiet_day
    return _busyness(tenant, hours) / mean * np.where(weekend, tenant.weekend, 1.0)


def _busyness(tenant: Tenant, hours: noise.Floats) -> noise.Floats:
    inside = np.clip(np.minimum(hours - tenant.first, tenant.last - hours) / EDGE_H, 0.0, 1.0)
    # Lunch is a dip of a quarter in the middle of the busy hours.
    middle = (tenant.first + tenant.last) / 2
    lunch = 1.0 - 0.25 * np.exp(-(((hours - middle) / 0.7) ** 2))
    return np.asarray(tenant.night + (1.0 - tenant.night) * inside * lunch, dtype=np.float64)


def _draw_cron(
    random: np.random.Generator, start_ms: int, end_ms: int, per_second: float, stage: Stage
) -> NDArray[np.int64]:
    """Draw the requests of the jobs that start within the period. A job may end after the period by some seconds."""
    first_ms = -(-start_ms // HOUR_MS) * HOUR_MS
    bursts = []
    for at_ms in range(first_ms, end_ms, HOUR_MS):
        is_peak = (at_ms % DAY_MS) // HOUR_MS == CRON_PEAK_HOUR
        mean = CRON_REQUESTS * per_second / 2.0 * stage.cron * (4.0 if is_peak else 1.0)
        offsets_ms = random.random(random.poisson(mean)) * min(CRON_SPREAD_MS, end_ms - at_ms)
        bursts.append(at_ms + offsets_ms.astype(np.int64))
    return np.concatenate(bursts) if bursts else np.zeros(0, dtype=np.int64)


def _draw_batch(
    random: np.random.Generator, start_ms: int, end_ms: int, per_second: float, stage: Stage
) -> NDArray[np.int64]:
    first_h, last_h = (hour + stage.batch_shift_h for hour in BATCH_HOURS)
    from_ms = max(start_ms, start_ms // DAY_MS * DAY_MS + round(first_h * HOUR_MS))
    to_ms = min(end_ms, start_ms // DAY_MS * DAY_MS + round(last_h * HOUR_MS))
    if to_ms <= from_ms:
        return np.zeros(0, dtype=np.int64)
    count = random.poisson(BATCH_SHARE * per_second * stage.batch * (to_ms - from_ms) / 1000.0)
    return (from_ms + random.random(count) * (to_ms - from_ms)).astype(np.int64)
