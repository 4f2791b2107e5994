"""Noise that changes over tens of minutes, and is the same for a time whichever records are drawn."""

import numpy as np
from numpy.typing import NDArray

from load.world import noise
from schemas.topics import DAY_MS

ANCHOR_MS = 600_000
"""Milliseconds between two random levels, between which the noise is interpolated."""


def smooth_noise(seed: int, name: str, times_ms: NDArray[np.int64]) -> noise.Floats:
    """Return noise with mean 0 at each time, whose standard deviation is 1 at the anchors.

    The noise of a day depends only on the seed, the name and the day.
    """
    if not times_ms.size:
        return np.zeros(0)
    first, last = int(times_ms.min() // DAY_MS), int(times_ms.max() // DAY_MS) + 1
    per_day = DAY_MS // ANCHOR_MS
    levels = [np.random.default_rng((seed, *name.encode(), day)).normal(size=per_day) for day in range(first, last + 1)]
    return np.interp((times_ms - first * DAY_MS) / ANCHOR_MS, np.arange(per_day * len(levels)), np.concatenate(levels))
