"""The fields of records as columns: what detect reads of a batch as soon as it arrives, so that no record is kept."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.signals import catalogue

WIDTH = len(catalogue.SIGNALS)
"""Columns of values: every signal of the catalogue has its own, whoever sends it."""

Label = str | None

Fault = tuple[int, str, str]
"""The row of a value that is not used, the field it lay in, and why."""


# Not frozen, though nobody changes one: with many subjects each record is a run of its own, and to freeze costs most.
@dataclass(slots=True)
class Fields:
    """What ``R`` records hold.

    Attributes
    ----------
    values
        Shape ``(R, WIDTH)``, in the catalogue's order, NaN where a record does not carry the signal.
    first
        Shape ``(R,)``, bool: False for a late outcome.
    request_ids
        ``R`` request ids, None where a record has none.
    keys
        ``R`` texts: two records with an equal one are a duplicate. None where a record cannot be one.
    labels
        By name of a category or other label, ``R`` of them; ``versions.NAME`` and ``segment.NAME`` are of names of the
        sender's own. A name is absent if no record carries it.
    custom
        ``R`` objects with fields of the sender's own, unchecked: what they mean depends on the unit. None where a
        record has none, or if no record has any.
    embeddings
        ``R`` lists, unchecked: which fit is for the unit to say. None likewise.
    faults
        By row, the values that are not used.
    """

    values: NDArray[np.float64]
    first: NDArray[np.bool_]
    request_ids: Sequence[Label]
    keys: Sequence[Label]
    labels: dict[str, Sequence[Label]]
    custom: Sequence[dict[str, Any] | None] | None
    embeddings: Sequence[Any] | None
    faults: Sequence[Fault]

    def __len__(self) -> int:
        return len(self.request_ids)

    def pick(self, rows: Sequence[int]) -> "Fields":
        """The records at some rows, in the order of these; no row comes twice."""
        faults: list[Fault] = []
        if self.faults:
            new = {row: number for number, row in enumerate(rows)}
            faults = sorted((new[row], field, reason) for row, field, reason in self.faults if row in new)
        return Fields(
            values=self.values[rows],
            first=self.first[rows],
            request_ids=[self.request_ids[row] for row in rows],
            keys=[self.keys[row] for row in rows],
            labels={name: [column[row] for row in rows] for name, column in self.labels.items()},
            custom=None if self.custom is None else [self.custom[row] for row in rows],
            embeddings=None if self.embeddings is None else [self.embeddings[row] for row in rows],
            faults=faults,
        )

    def cut(self, start: int, stop: int) -> "Fields":
        """The records from ``start`` up to ``stop``."""
        part = slice(start, stop)
        faults: Sequence[Fault] = ()
        if self.faults:
            some = self.faults[bisect_left(self.faults, (start, "", "")) : bisect_left(self.faults, (stop, "", ""))]
            faults = [(row - start, field, reason) for row, field, reason in some]
        return Fields(
            values=self.values[part],
            first=self.first[part],
            request_ids=self.request_ids[part],
            keys=self.keys[part],
            labels={name: column[part] for name, column in self.labels.items()},
            custom=None if self.custom is None else self.custom[part],
            embeddings=None if self.embeddings is None else self.embeddings[part],
            faults=faults,
        )


def no_fields() -> Fields:
    """The fields of no record."""
    return Fields(np.empty((0, WIDTH)), np.empty(0, dtype=np.bool_), [], [], {}, None, None, [])


def joined(parts: Sequence[Fields]) -> Fields:
    """One after the other; at least one."""
    if len(parts) == 1:
        return parts[0]
    lengths = [len(part) for part in parts]
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    custom: list[dict[str, Any] | None] = []
    embeddings: list[Any] = []
    for part in parts:
        custom += [None] * len(part) if part.custom is None else part.custom
        embeddings += [None] * len(part) if part.embeddings is None else part.embeddings
    return Fields(
        values=np.concatenate([part.values for part in parts]),
        first=np.concatenate([part.first for part in parts]),
        request_ids=tuple(chain.from_iterable(part.request_ids for part in parts)),
        keys=tuple(chain.from_iterable(part.keys for part in parts)),
        labels=joined_labels([part.labels for part in parts], lengths),
        custom=custom if any(part.custom is not None for part in parts) else None,
        embeddings=embeddings if any(part.embeddings is not None for part in parts) else None,
        faults=[
            (start + row, field, reason)
            for start, part in zip(starts, parts, strict=True)
            for row, field, reason in part.faults
        ],
    )


def joined_labels(parts: Sequence[dict[str, Sequence[Label]]], lengths: Sequence[int]) -> dict[str, Sequence[Label]]:
    """Labels one after the other; None where a part of that length has none of a name."""
    whole: dict[str, Sequence[Label]] = {}
    for name in dict.fromkeys(name for labels in parts for name in labels):
        column: list[Label] = []
        for labels, length in zip(parts, lengths, strict=True):
            column += labels.get(name) or [None] * length
        whole[name] = column
    return whole
