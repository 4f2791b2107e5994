"""Values of a signal in its baseline, by rank."""

import numpy as np

from schemas.baseline import SignalBaseline


def baseline_median(learned: SignalBaseline) -> float | None:
    """Return the median of a value signal in its baseline, or None for a rate."""
    return None if learned.knots is None else float(learned.knots[len(learned.knots) // 2])


def value_at_rank(learned: SignalBaseline, rank: float) -> float | None:
    """Return the value at a rank from 0 to 1 in the baseline, or None for a rate."""
    if learned.knots is None:
        return None
    return float(np.interp(rank * (len(learned.knots) - 1), np.arange(len(learned.knots)), learned.knots))
