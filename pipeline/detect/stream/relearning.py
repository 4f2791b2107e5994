"""Relearning: signals of a unit whose new normal is being learned beside the baseline that judges the others."""

from collections.abc import Iterable
from typing import Any

from pipeline.detect.baselines import Learner, baseline_version
from pipeline.detect.findings import Finding
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, Block
from schemas.baseline import Baseline


class Relearning:
    """Some signals, or all, from a time on. They are muted: what they do is neither news nor recovery meanwhile.

    Parameters
    ----------
    subject
        Whose.
    signals, at_ms
        Which, all if none is named, and from when on, Unix milliseconds.
    settings
        ``relearn_after_s`` is how long; a signal that has too few records by then is waited for up to
        ``ready_after_s``, and then keeps its old normal.
    since_ms
        The unit's watermark now: what fires from here on is not told.
    before
        One that this takes the place of: its signals are learned too.
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
        self._longest_ms = int(max(settings.ready_after_s, settings.relearn_after_s) * 1000)
        self._at_ms = at_ms
        self._since_ms = since_ms
        self._signals = set(signals)
        if before is not None:
            # No signal at all means every signal.
            self._signals = self._signals | before._signals if self._signals and before._signals else set()  # noqa: SLF001
            self._since_ms = min(since_ms, before._since_ms)  # noqa: SLF001
        self._try_ms = self._at_ms + int(settings.relearn_after_s * 1000)
        self.learner = Learner(subject, self._settings)

    def is_muted(self, finding: Finding) -> bool:
        """Whether a finding is about a signal that is being learned."""
        return not self._signals or finding.signal.name in self._signals

    def has_relearn(self, finding: Finding) -> bool:
        """Whether a drift was told of when it fired."""
        return not self.is_muted(finding) or finding.detected_at < self._since_ms

    def learn(self, block: Block, baseline: Baseline, *, centroid: list[float] | None = None) -> Baseline | None:
        """Take one block; the new baseline once it is learned, with the signals that were not in question as before."""
        if not block.panes.size or int(block.panes[0]) * PANE_MS < self._at_ms:
            return None
        self.learner.observe(block)
        now_ms = (int(block.panes[-1]) + 1) * PANE_MS
        if now_ms < self._try_ms or not self.learner.is_ready():
            return None
        self._try_ms = now_ms + int(self._settings.ready_after_s * 1000)
        learned = self.learner.baseline("accepted", centroid=centroid)
        wanted = self._signals or set(baseline.signals) | set(learned.signals)
        anew = wanted & set(learned.signals)
        if (wanted & set(baseline.signals)) - anew and now_ms < self._at_ms + self._longest_ms:
            return None
        return merge_baselines(baseline, learned, anew)

    def dump(self) -> dict[str, Any]:
        """The state, but for the learner, whose parts are kept one by one."""
        return {
            "at_ms": self._at_ms,
            "signals": sorted(self._signals),
            "try_ms": self._try_ms,
            "since_ms": self._since_ms,
        }

    @classmethod
    def load(cls, subject: str, state: dict[str, Any], settings: DetectSettings) -> "Relearning":
        """Take up what :meth:`dump` gave; the learner's parts are for the caller."""
        relearning = cls(subject, state["signals"], settings, at_ms=state["at_ms"], since_ms=state["since_ms"])
        relearning._try_ms = state["try_ms"]
        return relearning


def merge_baselines(baseline: Baseline, learned: Baseline, names: set[str]) -> Baseline:
    """A baseline in which some signals are as they were learned last."""
    anew = {
        name: learned.signals[name].model_copy(
            update={"learned_from": learned.learned_from, "learned_to": learned.learned_to}
        )
        for name in sorted(names)
    }
    whole = baseline.model_copy(
        update={
            "source": "accepted",
            "learned_to": learned.learned_to,
            "signals": baseline.signals | anew,
            "centroid": learned.centroid if "embedding_similarity" in names else baseline.centroid,
            "effective_at": None,
        }
    )
    return whole.model_copy(update={"baseline_version": baseline_version(whole)})
