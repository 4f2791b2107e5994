"""The block: consecutive records of one unit as columns, the form in which detectors take them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.signals.catalogue import Signal

PANE_MS = 1000
"""Milliseconds: what falls into one pane counts as one event for the cap on evidence."""


@dataclass(frozen=True, slots=True)
class Block:
    """``R`` records of one unit in the order of their arrival, cut where the unit's own counts say, not at a fetch.

    Attributes
    ----------
    signals
        The ``C`` columns of ``values``; the list of a unit only grows, at its end.
    values
        Shape ``(R, C)``, float64, NaN where a record does not carry the signal.
    panes
        Shape ``(R,)``, int64, never falling: the unit's watermark // PANE_MS when the record arrived.
    times_ms
        Shape ``(R,)``, int64: the records' own event times, Unix milliseconds.
    request_ids
        ``R`` request ids, None where a record has none.
    categories
        By the category's name, ``R`` labels, None where a record does not carry it. A name is absent if none does.
    segments
        By dimension, ``R`` labels likewise: where each record belongs.
    versions
        By kind, ``R`` labels likewise: what served each record.
    first
        Shape ``(R,)``, bool: False for a late outcome, which does not count for throughput.
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


def label_indexes(labels: Sequence[str | None], places: dict[str | None, int]) -> NDArray[np.int64]:
    """The place of each label, -1 where it has none; shape ``(R,)``.

    >>> codes(["a", None, "b", "a"], {"a": 0}).tolist()
    [0, -1, -1, 0]
    """
    if len(places) < len(set(labels)):
        places = dict.fromkeys(labels, -1) | places
    return np.fromiter(map(places.__getitem__, labels), dtype=np.int64, count=len(labels))
