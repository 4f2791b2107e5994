"""The block: consecutive records of one stream as columns. It is the input of learners and detectors."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.signals.catalogue import Signal

PANE_MS = 1000
"""Milliseconds per pane. The evidence that one pane can add to a test is limited."""


@dataclass(frozen=True, slots=True)
class Block:
    """``R`` records of one stream in order of arrival. The end of a block depends on the records, not on Kafka fetches.

    Attributes
    ----------
    signals
        Signals of the ``C`` columns of ``values``. Later blocks of a stream may append signals, but never remove any.
    values
        Shape ``(R, C)``, float64, NaN where a record does not carry the signal.
    panes
        Shape ``(R,)``, int64, non-decreasing: the stream's watermark // PANE_MS at the arrival of each record.
    times_ms
        Shape ``(R,)``, int64: event times in Unix milliseconds.
    request_ids
        ``R`` request ids, with None for records without an id.
    categories
        ``R`` labels per category, with None for records that do not carry the category. Categories without any label
        are absent.
    segments
        ``R`` labels per dimension, with None for records without a label.
    versions
        ``R`` versions per kind, with None for records without a version.
    is_sampled
        Whether any record was sampled by outcome.
    first
        Shape ``(R,)``, bool: False for a late outcome, which does not count as throughput.
    """

    signals: Sequence[Signal]
    values: NDArray[np.float64]
    panes: NDArray[np.int64]
    times_ms: NDArray[np.int64]
    request_ids: Sequence[str | None]
    categories: dict[str, list[str | None]]
    first: NDArray[np.bool_]
    segments: dict[str, Sequence[str | None]] = field(default_factory=dict)
    versions: dict[str, Sequence[str | None]] = field(default_factory=dict)
    is_sampled: bool = False


def label_indexes(labels: Sequence[str | None], indexes: dict[str | None, int]) -> NDArray[np.int64]:
    """Return the index of each label, or -1 for labels that have no index, in shape ``(R,)``.

    >>> label_indexes(["a", None, "b", "a"], {"a": 0}).tolist()
    [0, -1, -1, 0]
    """
    if not indexes.keys() >= set(labels):
        indexes = dict.fromkeys(labels, -1) | indexes
    return np.fromiter(map(indexes.__getitem__, labels), dtype=np.int64, count=len(labels))
