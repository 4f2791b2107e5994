"""Summary of a stream for people, read from a few parts of its state."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from pipeline.detect.baselines import Learner
from pipeline.detect.blocks import SignalColumns
from pipeline.detect.learning_progress import LearningProgress
from pipeline.detect.settings import DetectSettings
from pipeline.detect.stream.relearning import Relearning
from pipeline.state import Part, PartStore, State

_LEARNERS = ("learner", "relearner")


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """What a stream has received and what it does.

    Attributes
    ----------
    subject
        The subject.
    records, late, duplicates
        Number of used records, of used records behind the watermark, and of dropped duplicates.
    unversioned_outcomes
        Number of late outcomes without a version.
    bad_fields
        Number of dropped values, by field and reason.
    look_alikes
        Unknown fields that look like a known one.
    last_ms
        Newest event time in Unix milliseconds, or 0 before the first record.
    signals
        Number of signals that the records contain.
    baseline_version
        Version of the baseline in use, or None while the stream learns its first baseline.
    scheduled_versions
        Versions of baselines that wait for their ``effective_at``.
    relearned_signals
        Names of the signals that are relearned (empty for all), or None.
    held_signals
        Names of those that are tested meanwhile, against a level that a person accepted.
    is_sampled
        Whether the records are sampled by outcome.
    learning, relearning
        Progress of the first baseline, or of the relearned signals. None before the first block of records.
    """

    subject: str
    records: int
    late: int
    duplicates: int
    bad_fields: Counter[tuple[str, str]]
    last_ms: int
    signals: int
    baseline_version: str | None
    scheduled_versions: tuple[str, ...]
    relearned_signals: tuple[str, ...] | None
    held_signals: tuple[str, ...] = ()
    unversioned_outcomes: int = 0
    is_sampled: bool = False
    look_alikes: frozenset[str] = frozenset()
    learning: LearningProgress | None = None
    relearning: LearningProgress | None = None


def is_summary_part(kind: str, item: str) -> bool:
    """Return whether parts of a stream with this kind and item are needed for its summary."""
    return kind == "stream" or (kind in _LEARNERS and item.startswith(Learner.PROGRESS_ITEMS))


def summarize_stream(subject: str, store: PartStore, settings: DetectSettings) -> StreamSummary | None:
    """Return the summary of a stream from the parts in a store, or None if its counters cannot be read.

    Parameters
    ----------
    store
        Store that has read the parts for which :func:`is_summary_part` is True. It collects warnings.
    settings
        Requirements of a ready baseline.
    """
    found: list[tuple[StreamSummary, Relearning | None]] = []
    if not store.load(Part("stream", subject), lambda state: found.append(_read_stream(subject, state, settings))):
        return None
    ((summary, relearning),) = found
    return replace(
        summary,
        learning=_load_progress(Learner(subject, settings), store.items("learner", subject), store),
        relearning=None
        if relearning is None
        else _load_progress(relearning.learner, store.items("relearner", subject), store),
    )


def _read_stream(subject: str, state: State, settings: DetectSettings) -> tuple[StreamSummary, Relearning | None]:
    columns = SignalColumns(settings.custom_signals_max)
    columns.load(state["columns"])
    counts: Counter[str] = Counter(state["counts"])
    relearning = None if state["relearning"] is None else Relearning.load(subject, state["relearning"], settings)
    summary = StreamSummary(
        subject=subject,
        records=counts["used"],
        late=counts["late"],
        duplicates=counts["duplicates"],
        bad_fields=columns.bad_fields,
        last_ms=state["watermark"],
        signals=len(columns.signals),
        baseline_version=state["baseline_version"],
        scheduled_versions=tuple(state["pending_versions"]),
        relearned_signals=None if relearning is None else tuple(sorted(relearning.signals)),
        held_signals=() if relearning is None else tuple(sorted(relearning.held)),
        unversioned_outcomes=counts["unversioned_outcomes"],
        # Checkpoints of earlier versions do not contain it.
        is_sampled=state.get("sampled") is not None,
        look_alikes=frozenset(columns.look_alikes),
    )
    return summary, relearning


def _load_progress(learner: Learner, parts: Iterable[Part], store: PartStore) -> LearningProgress | None:
    for part in parts:
        store.load(part, partial(learner.load_part, part.item))
    return learner.progress()
