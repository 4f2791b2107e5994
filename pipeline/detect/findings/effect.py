"""The effect: how far a channel has moved, on a scale that compares signals of every unit."""

from pipeline.detect.findings.finding import EffectKind
from pipeline.detect.signals import channels


def effect_size(channel: str, usual: float, mean: float, records: float, learned: int) -> tuple[float, EffectKind]:
    """How far the mean of a channel moved: an odds ratio of a rate or tail, else a shift.

    Half an event stands for none where odds would be infinite.

    Parameters
    ----------
    channel
        Its name.
    usual, learned
        The baseline's mean, and the records behind it.
    mean, records
        The mean now, and the records behind that.

    >>> effect_of("rate", 0.01, 0.0914, 412, 100_000)[0].__round__(1)
    10.0
    >>> effect_of("location", 0.5, 0.62, 412, 100_000)
    (0.12, 'rank_shift')
    """
    if channel not in channels.BINARY:
        return mean - usual, "rank_shift"
    now = min(max(mean, 0.5 / records), 1.0 - 0.5 / records) if records > 1 else 0.5
    before = min(max(usual, 0.5 / learned), 1.0 - 0.5 / learned)
    return now / (1.0 - now) * (1.0 - before) / before, "odds_ratio"
