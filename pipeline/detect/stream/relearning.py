"""Relearning of selected signals of a stream, while the monitor tests all other signals."""

from collections.abc import Iterable
from typing import Any

from pipeline.detect.baselines import Learner, baseline_version
from pipeline.detect.findings import Finding
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, Block
from schemas.baseline import AgeCycles, Baseline, SignalBaseline


class Relearning:
    """Relearning of selected or all signals from a given time. Drifts of these signals are muted until it ends.

    Parameters
    ----------
    subject
        Subject of the signals.
    signals
        Names of the signals. If empty, all signals are relearned.
    settings
        ``relearn_after_s`` is the learning time. If a signal has too few records by then, learning continues until
        ``ready_after_s``, and then the signal keeps its current baseline.
    at_ms
        Event time from which records are learned, in Unix milliseconds.
    since_ms
        The watermark of the stream when this relearning began. Drifts that fire later are not published.
    before
        The relearning that is replaced, if any. Its signals are also relearned.

    Attributes
    ----------
    signals, since_ms
        The signals of this relearning and of the replaced relearning, and the earlier of their watermarks.
    learner
        Learner of the new baselines.
    """

    def __init__(
        self,
        subject: str,
        signals: Iterable[str],
        settings: DetectSettings,
        *,
        at_ms: int,
        since_ms: int,
        before: "Relearning | None" = None,
    ) -> None:
        self._settings = settings.model_copy(update={"ready_after_s": settings.relearn_after_s})
        self._wait_max_ms = int(max(settings.ready_after_s, settings.relearn_after_s) * 1000)
        self._at_ms = at_ms
        self.since_ms = since_ms
        self.signals = set(signals)
        if before is not None:
            # An empty set means all signals.
            self.signals = self.signals | before.signals if self.signals and before.signals else set()
            self.since_ms = min(since_ms, before.since_ms)
        self._last_try_ms = self._at_ms
        self.learner = Learner(subject, self._settings)

    def is_muted(self, finding: Finding) -> bool:
        """Return whether the signal of a finding is being relearned."""
        return self.includes(finding.signal.name)

    def includes(self, signal: str) -> bool:
        """Return whether a signal is being relearned."""
        return not self.signals or signal in self.signals

    def was_published(self, finding: Finding) -> bool:
        """Return whether a drift was published when it fired."""
        return not self.is_muted(finding) or finding.detected_at < self.since_ms

    def learn(self, block: Block, baseline: Baseline, *, centroid: list[float] | None = None) -> Baseline | None:
        """Learn from one block. Return ``baseline`` with the relearned signals once they are ready."""
        if not block.panes.size or int(block.panes[0]) * PANE_MS < self._at_ms:
            return None
        self.learner.observe(block)
        now_ms = (int(block.panes[-1]) + 1) * PANE_MS
        next_try_ms = self._last_try_ms + int(self._settings.ready_after_s * 1000)
        if now_ms < next_try_ms or not self.learner.is_ready():
            return None
        self._last_try_ms = now_ms
        learned = self.learner.baseline("accepted", centroid=centroid)
        wanted = self.signals or set(baseline.signals) | set(learned.signals)
        relearned = wanted & set(learned.signals)
        if (wanted & set(baseline.signals)) - relearned and now_ms < self._at_ms + self._wait_max_ms:
            return None
        merged = merge_baselines(baseline, learned, relearned)
        if not self.signals or "unusable_field" in self.signals:
            merged = merged.model_copy(update={"expected_fields": learned.expected_fields})
        return merged.model_copy(update={"baseline_version": baseline_version(merged)})

    def dump(self) -> dict[str, Any]:
        """Return the state without the learner, which has separate parts."""
        return {
            "at_ms": self._at_ms,
            "signals": sorted(self.signals),
            "last_try_ms": self._last_try_ms,
            "since_ms": self.since_ms,
        }

    @classmethod
    def load(cls, subject: str, state: dict[str, Any], settings: DetectSettings) -> "Relearning":
        """Restore the state that :meth:`dump` returned. The caller restores the learner."""
        relearning = cls(subject, state["signals"], settings, at_ms=state["at_ms"], since_ms=state["since_ms"])
        # Format 1 does not contain the last try.
        relearning._last_try_ms = state.get("last_try_ms", state["at_ms"])
        return relearning


def merge_baselines(baseline: Baseline, learned: Baseline, names: set[str]) -> Baseline:
    """Return a baseline in which the given signals are replaced by the signals of another baseline.

    Its version is still the version of ``baseline``.
    """
    signals: dict[str, SignalBaseline] = {}
    for name in sorted(names):
        signal, before = learned.signals[name], baseline.signals.get(name)
        ages = _combine_cycles(None if before is None else before.ages, signal.ages)
        update = {"learned_from": learned.learned_from, "learned_to": learned.learned_to, "ages": ages}
        signals[name] = signal.model_copy(update=update)
    # Signals that are not relearned may still come from records that were sampled by outcome.
    sampled = learned.sampled if names >= set(baseline.signals) else learned.sampled or baseline.sampled
    return baseline.model_copy(
        update={
            "source": "accepted",
            "learned_to": learned.learned_to,
            "signals": baseline.signals | signals,
            "centroid": learned.centroid if "embedding_similarity" in names else baseline.centroid,
            "sampled": sampled,
            "accepted_levels": {name: levels for name, levels in baseline.accepted_levels.items() if name not in names},
            "held_back": [name for name in baseline.held_back if name not in names],
            "effective_at": None,
        }
    )


def _combine_cycles(before: AgeCycles | None, relearned: AgeCycles | None) -> AgeCycles | None:
    """Return the cycles of an age that was relearned. If it only grew meanwhile, the cycles before remain known.

    >>> before, relearned = AgeCycles(longest=24.0, resets=7, mean=24.0, deviation=0.1), AgeCycles(longest=30.0, resets=0)
    >>> _combine_cycles(before, relearned)
    AgeCycles(longest=30.0, resets=7, mean=24.0, deviation=0.1)
    """
    if before is None or relearned is None or relearned.resets or not before.resets:
        return relearned
    return before.model_copy(update={"longest": max(before.longest, relearned.longest)})
