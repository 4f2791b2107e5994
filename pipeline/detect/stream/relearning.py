"""Relearning of selected signals of a stream, while the monitor tests all other signals.

If a person accepted the level of a signal, it is tested against that level meanwhile, with a provisional baseline.
"""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pipeline.detect.accepted_normal import accept_levels, accept_segment_levels
from pipeline.detect.baselines import Learner, baseline_version
from pipeline.detect.findings import Finding
from pipeline.detect.losses import RequestLoss
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, Block
from pipeline.detect.stream.learned_baseline import baseline_output, learned_to
from pipeline.step import OutputMessage
from schemas.baseline import AgeCycles, Baseline, SignalBaseline
from schemas.relearn import AcceptedLevel, Relearn

if TYPE_CHECKING:
    from pipeline.detect.stream.stream import Stream

FIELDS_SIGNAL = "unusable_field"
"""The signal whose relearning also relearns the fields that a baseline expects."""

APPLIED_MAX = 16
"""Maximum number of requests that a stream remembers. A request that is sent twice is applied once."""


class Relearning:
    """Relearning of selected or all signals from a given time. Drifts of these signals are muted until it ends.

    Signals that are *held* are tested meanwhile, against a level that a person accepted. If one of them leaves it, the
    records since the request are not normal: learning starts again once the drift has recovered.

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
    held
        Names of the signals that are held.

    Attributes
    ----------
    signals, since_ms, held
        The signals of this relearning and of the replaced relearning, the earlier of their watermarks, and the signals
        that are held.
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
        held: Iterable[str] = (),
    ) -> None:
        self._subject = subject
        self._settings = settings.model_copy(update={"ready_after_s": settings.relearn_after_s})
        self._wait_max_ms = int(max(settings.ready_after_s, settings.relearn_after_s) * 1000)
        self._at_ms = at_ms
        self.since_ms = since_ms
        self.signals, self.held = set(signals), set(held)
        if before is not None:
            self.held |= before.held - self.signals
            # An empty set means all signals.
            self.signals = self.signals | before.signals if self.signals and before.signals else set()
            self.since_ms = min(since_ms, before.since_ms)
        self._last_try_ms = self._at_ms
        self.learner = Learner(subject, self._settings)

    def is_muted(self, finding: Finding) -> bool:
        """Return whether the signal of a finding is being relearned and not held."""
        return self.includes(finding.signal.name) and finding.signal.name not in self.held

    def includes(self, signal: str) -> bool:
        """Return whether a signal is being relearned."""
        return not self.signals or signal in self.signals

    def was_published(self, finding: Finding) -> bool:
        """Return whether a drift was published when it fired."""
        return not self.is_muted(finding) or finding.detected_at < self.since_ms

    def restart(self, at_ms: int) -> None:
        """Start learning again from a time in Unix milliseconds."""
        self._at_ms = self._last_try_ms = at_ms
        self.learner = Learner(self._subject, self._settings)

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
        if not self.signals or FIELDS_SIGNAL in self.signals:
            merged = merged.model_copy(update={"expected_fields": learned.expected_fields})
        return merged.model_copy(update={"baseline_version": baseline_version(merged)})

    def dump(self) -> dict[str, Any]:
        """Return the state without the learner, which has separate parts."""
        return {
            "at_ms": self._at_ms,
            "signals": sorted(self.signals),
            "last_try_ms": self._last_try_ms,
            "since_ms": self.since_ms,
            "held": sorted(self.held),
        }

    @classmethod
    def load(cls, subject: str, state: dict[str, Any], settings: DetectSettings) -> "Relearning":
        """Restore the state that :meth:`dump` returned. The caller restores the learner."""
        # Checkpoints of earlier versions do not contain signals that are held.
        held, at_ms = state.get("held", ()), state["at_ms"]
        relearning = cls(subject, state["signals"], settings, at_ms=at_ms, since_ms=state["since_ms"], held=held)
        # Format 1 does not contain the last try.
        relearning._last_try_ms = state.get("last_try_ms", state["at_ms"])
        return relearning


def begin_relearning(stream: "Stream", relearn: Relearn, settings: DetectSettings) -> list[OutputMessage]:
    """Relearn signals of a stream, unless it has no baseline yet or learned them after the time of the request.

    Accepted levels are normal at once: their drifts end, and a further move is a new drift. Return the outputs.
    """
    digest = hashlib.blake2b(relearn.to_json(), digest_size=8).hexdigest()
    if digest in stream.applied_relearns:
        return []
    stream.applied_relearns = [*stream.applied_relearns, digest][-APPLIED_MAX:]
    stream.changed = True
    if stream.monitor is None or relearn.at <= learned_to(stream.monitor.baseline, relearn.signals):
        return []
    outputs = stream.flush()
    ended, held = _hold_levels(stream, relearn.accepted, settings) if relearn.accepted else ([], set())
    outputs += ended
    if relearn.accepted and not _is_learnable(stream, relearn.signals):
        return outputs
    stream.relearning = Relearning(
        stream.subject,
        relearn.signals,
        settings,
        at_ms=relearn.at,
        since_ms=stream.watermark,
        before=stream.relearning,
        held=held,
    )
    stream.discarded_kinds.add("relearner")
    if not relearn.signals or "embedding_similarity" in relearn.signals:
        stream.derived.embeddings.reset_centroid()
    stream.evidence_changed = True
    return outputs


def continue_relearning(stream: "Stream", block: Block) -> list[OutputMessage]:
    """Learn from a block that the monitor of a stream has observed. Use the baseline that it completes, if any."""
    monitor, relearning = stream.monitor, stream.relearning
    if monitor is None or relearning is None:
        return []
    if relearning.held and not relearning.held.isdisjoint(_find_open_alerts(stream)):
        relearning.restart((int(block.panes[-1]) + 1) * PANE_MS)
        stream.discarded_kinds.add("relearner")
        return []
    merged = relearning.learn(block, monitor.baseline, centroid=stream.derived.embeddings.centroid)
    if merged is None:
        return []
    accept = relearning.includes(RequestLoss.SIGNAL_NAME)
    closed = stream.close_drifts(int(block.panes[-1]) * PANE_MS, accept=accept)
    stream.history.clear()
    stream.replace_monitor(merged)
    return [*closed, baseline_output(merged)]


def _hold_levels(
    stream: "Stream", levels: Iterable[AcceptedLevel], settings: DetectSettings
) -> tuple[list[OutputMessage], set[str]]:
    """End the drifts whose levels were accepted, and test their signals against these levels from now on.

    Return the outputs, and the names of the signals that are held.
    """
    monitor, now_ms, levels = stream.monitor, stream.watermark, list(levels)
    if monitor is None:
        return [], set()
    accepted = accept_levels(monitor, levels, settings, now_ms=now_ms)
    segments = {(level.signal, level.segment): level for level in levels if level.segment}

    def closes(signal: str, segment: str) -> bool:
        return signal in accepted.names or (signal, segment) in segments

    open_drifts = monitor.segment_drifts.find_open()
    findings = monitor.close_drifts(now_ms, closes)
    held = set(accepted.names) | {signal for signal, _ in segments}
    if any(level.signal == RequestLoss.SIGNAL_NAME for level in levels):
        findings += stream.request_loss.close(now_ms, accept=True)
        held.add(RequestLoss.SIGNAL_NAME)
    outputs = stream.end_drifts(findings)
    if accepted.baseline is not None:
        outputs.append(stream.adopt_baseline(accepted.baseline, now_ms // PANE_MS, accepted.names))
    accept_segment_levels(stream.monitor or monitor, levels, settings, open_drifts)
    return outputs, held


def _is_learnable(stream: "Stream", signals: Iterable[str]) -> bool:
    """Return whether any of the signals is part of the baseline. The level of a request rate needs no learning."""
    known = set() if stream.monitor is None else {*stream.monitor.baseline.signals, FIELDS_SIGNAL}
    return not known.isdisjoint(signals)


def _find_open_alerts(stream: "Stream") -> set[str]:
    found = set() if stream.monitor is None else stream.monitor.open_alerts
    return found | {RequestLoss.SIGNAL_NAME} if stream.request_loss.is_open else found


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
