"""The effect size of a drift, which is comparable across signals of different units."""

from pipeline.detect.findings.finding import EffectKind
from pipeline.detect.signals import channels


def effect_size(
    channel: str, mean_before: float, mean: float, records: float, records_before: int
) -> tuple[float, EffectKind]:
    """Return the change of a channel's mean: an odds ratio for a rate or a tail, otherwise a shift of the mean rank.

    A share of 0 or 1 is moved inwards by half a record, which keeps the odds finite.

    Parameters
    ----------
    channel
        Name of the channel.
    mean_before, records_before
        Mean in the baseline, and number of records from which it was computed.
    mean, records
        Current mean, and number of records from which it was computed.

    >>> effect_size("rate", 0.01, 0.0914, 412, 100_000)[0].__round__(1)
    10.0
    >>> effect_size("location", 0.5, 0.62, 412, 100_000)
    (0.12, 'rank_shift')
    """
    if channel not in channels.BINARY:
        return mean - mean_before, "rank_shift"
    current = min(max(mean, 0.5 / records), 1.0 - 0.5 / records) if records > 1 else 0.5
    before = min(max(mean_before, 0.5 / records_before), 1.0 - 0.5 / records_before)
    return current / (1.0 - current) * (1.0 - before) / before, "odds_ratio"
