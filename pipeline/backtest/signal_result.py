"""The row of one signal: normal, now, the smallest detected changes, and why it was not judged."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.backtest.signal_series import SubjectSeries
from pipeline.detect.offline import SmallestChange, smallest_changes
from pipeline.detect.one_sided_tests import NotTestable
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import Signal, channels
from schemas.baseline import Baseline, SignalBaseline

NOW_SHARE = 0.1
"""Share of the time after learning that counts as now."""


@dataclass(frozen=True, slots=True)
class SignalResult:
    """One signal of one subject.

    Attributes
    ----------
    signal
        The signal, as the configuration describes it.
    baseline
        What was learned of it, or None.
    records
        Number of records that carry the signal.
    now
        Its level in the last part of the records: a mean (rate) or a median (value). None without records.
    changes
        The smallest changes that page or raise a ticket, and those that are not testable.
    not_judged
        Why the signal was not judged. Empty if it was judged.
    times_ms, levels
        Its level over time.
    """

    signal: Signal
    baseline: SignalBaseline | None
    records: int
    now: float | None
    changes: tuple[SmallestChange, ...]
    not_judged: str
    times_ms: tuple[int, ...]
    levels: tuple[float, ...]

    @property
    def normal(self) -> float | None:
        """The normal level: a mean (rate) or a median (value)."""
        if self.baseline is None:
            return None
        if self.baseline.kind == "rate":
            channel = self.baseline.channels.get("rate")
            return None if channel is None else channel.mean
        knots = self.baseline.knots
        return self.baseline.mean if knots is None else knots[len(knots) // 2]


def build_signal_results(
    subject: str, series: SubjectSeries, baseline: Baseline | None, settings: DetectSettings, *, now_from_ms: int
) -> list[SignalResult]:
    """Return a row for each signal that the records or the baseline contain.

    Parameters
    ----------
    subject, series
        The subject, and its levels.
    baseline
        The baseline that the records were compared with, or None.
    settings
        Settings of the detect step.
    now_from_ms
        Start of the part that counts as now, in Unix ms.
    """
    changes = [] if baseline is None else smallest_changes(baseline, settings)
    results = []
    signals = [channels.configure_signal(signal, subject, settings) for signal in series.signals]
    for column, signal in enumerate(signals):
        times_ms, levels = series.points(column)
        if not times_ms:
            continue
        learned = None if baseline is None else baseline.signals.get(signal.name)
        own_changes = tuple(change for change in changes if change.signal == signal.name)
        results.append(
            SignalResult(
                signal,
                learned,
                series.count(column),
                series.level_since(column, now_from_ms),
                own_changes,
                _explain_not_judged(signal, baseline, own_changes, settings),
                tuple(times_ms),
                tuple(levels),
            )
        )
    seen = {result.signal.name for result in results}
    for name, learned in ({} if baseline is None else baseline.signals).items():
        known = channels.find_signal(name, learned.kind, subject, settings)
        if known is not None and known.kind != "category" and name not in seen:
            reason = "no record after the learning period contains it"
            results.append(SignalResult(known, learned, 0, None, (), reason, (), ()))
    return results


def _explain_not_judged(
    signal: Signal, baseline: Baseline | None, changes: Iterable[SmallestChange], settings: DetectSettings
) -> str:
    if signal.role == "off":
        return NotTestable.EXCLUDED_BY_RULE
    if baseline is None:
        return "the subject has no baseline"
    if signal.name not in baseline.signals:
        required = settings.ready_records_rate if signal.kind == "rate" else settings.ready_records
        return f"fewer than {required:,} records contained it while the baseline was learned"
    reasons = {change.reason for change in changes}
    if "" in reasons:
        return ""
    return "; ".join(sorted(reasons)) or "it is not testable"
