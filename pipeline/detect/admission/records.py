"""Records in columnar form, as they pass from the reader to the block.

The modules of this package fill, check and drop these columns.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.fields import FaultReason
from pipeline.detect.signals import catalogue

Label = str | None

Fault = tuple[int, str, FaultReason]
"""A dropped field: row of the record, name of the field, and reason."""

Item = TypeVar("Item")

_ROW = itemgetter(0)
"""The row of a fault."""

_NO_INTEGERS: NDArray[np.int64] = np.empty(0, dtype=np.int64)
_NO_VALUES: NDArray[np.float64] = np.empty((0, 0))


# The class is not frozen, because frozen dataclasses are slow to construct. Many subjects need several per record.
@dataclass(slots=True)
class Records:
    """Columns of ``R`` records.

    Columns that are not filled yet, or no longer needed, are empty.

    Attributes
    ----------
    values
        Shape ``(R, WIDTH)``, in the order of the catalogue, NaN where a record does not carry the signal.
    is_request
        Shape ``(R,)``, bool: False for a late outcome.
    request_ids
        ``R`` request ids; None if a record has no id.
    labels
        ``R`` labels for each category and each other kind of label. Names chosen by the sender have a prefix:
        ``versions.NAME`` and ``segment.NAME``. A name is absent if no record carries it.
    subjects, timestamps
        ``R`` values as sent. Admission checks the subjects and turns the timestamps into ``times_ms``.
    content_hashes
        Shape ``(R,)``, int64: 32 bits of a hash of each record's bytes.
    sampling_probabilities
        Shape ``(R,)``: the probability with which each record was kept, NaN where a record does not carry it. The
        attribute is None if no record carries it.
    custom_fields
        ``R`` ``custom`` objects as sent; None for a record without this section. The attribute is None if no record has
        the section.
    embeddings
        ``R`` lists as sent; None for a record without an embedding. The attribute is None if no record has an
        embedding.
    faults
        The dropped fields, sorted by row.
    converted
        For each field with a value of another type that was converted, such as a number sent as text: shape ``(R,)``,
        bool, True where the value was converted.
    look_alikes
        For each unknown field that looks like a known one: shape ``(R,)``, bool, True where the record has it.
    positions
        The position of each record in its batch, from :func:`pipeline.detect.admission.decode.record_position`.
    times_ms
        Shape ``(R,)``, int64: event times, Unix milliseconds. Filled by admission.
    panes
        Shape ``(R,)``, int64: panes of the stream's watermark. Filled by the stream.
    carried
        The columns of ``values`` that may carry a value, None if that is not known.
    custom_values
        Shape ``(R, N)``: values of the first ``N`` custom signals of the stream. Filled by the stream.
    """

    WIDTH: ClassVar[int] = len(catalogue.SIGNALS)
    """Number of columns of ``values``, one for every signal of the catalogue."""

    values: NDArray[np.float64]
    is_request: NDArray[np.bool_]
    request_ids: Sequence[Label]
    labels: dict[str, Sequence[Label]]
    subjects: Sequence[Any] = ()
    timestamps: Sequence[Any] = ()
    content_hashes: NDArray[np.int64] = field(default_factory=lambda: _NO_INTEGERS)
    sampling_probabilities: NDArray[np.float64] | None = None
    custom_fields: Sequence[dict[str, Any] | None] | None = None
    embeddings: Sequence[Any] | None = None
    faults: Sequence[Fault] = ()
    converted: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    look_alikes: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    positions: Sequence[int] = ()
    times_ms: NDArray[np.int64] = field(default_factory=lambda: _NO_INTEGERS)
    panes: NDArray[np.int64] = field(default_factory=lambda: _NO_INTEGERS)
    custom_values: NDArray[np.float64] = field(default_factory=lambda: _NO_VALUES)
    carried: frozenset[int] | None = None

    def __len__(self) -> int:
        return len(self.request_ids)

    @classmethod
    def empty(cls) -> "Records":
        """Return an empty set of records."""
        return cls(np.empty((0, cls.WIDTH)), np.empty(0, dtype=np.bool_), [], {})

    @classmethod
    def concatenate(cls, parts: Sequence["Records"]) -> "Records":
        """Join at least one part in order. If a part lacks a column, its records have no value in that column."""
        if len(parts) == 1:
            return parts[0]
        lengths = [len(part) for part in parts]
        length = sum(lengths)
        starts = np.cumsum([0, *lengths[:-1]]).tolist()
        return cls(
            values=np.concatenate([part.values for part in parts]),
            is_request=np.concatenate([part.is_request for part in parts]),
            request_ids=_chain([part.request_ids for part in parts], length),
            labels=_concatenate_labels([part.labels for part in parts], lengths),
            subjects=_chain([part.subjects for part in parts], length),
            timestamps=_chain([part.timestamps for part in parts], length),
            content_hashes=_concatenate([part.content_hashes for part in parts], length),
            sampling_probabilities=_concatenate_some([part.sampling_probabilities for part in parts], lengths),
            custom_fields=_chain_some([part.custom_fields for part in parts], lengths),
            embeddings=_chain_some([part.embeddings for part in parts], lengths),
            faults=[
                (start + row, name, reason)
                for start, part in zip(starts, parts, strict=True)
                for row, name, reason in part.faults
            ],
            converted=_concatenate_masks([part.converted for part in parts], lengths),
            look_alikes=_concatenate_masks([part.look_alikes for part in parts], lengths),
            positions=_chain([part.positions for part in parts], length),
            times_ms=_concatenate([part.times_ms for part in parts], length),
            panes=_concatenate([part.panes for part in parts], length),
            custom_values=_concatenate_custom_values([part.custom_values for part in parts]),
        )

    @classmethod
    def join(cls, slices: Sequence[tuple["Records", int, int]]) -> "Records":
        """Join at least one slice, each of them records with a start and a stop."""
        if len(slices) == 1 or any(records.has_rare_columns for records, _, _ in slices):
            return cls.concatenate([records.cut(start, stop) for records, start, stop in slices])
        parts = [(records, slice(start, stop)) for records, start, stop in slices]
        lengths = [stop - start for _, start, stop in slices]
        return cls(
            values=np.concatenate([records.values[part] for records, part in parts]),
            is_request=np.concatenate([records.is_request[part] for records, part in parts]),
            request_ids=list(chain.from_iterable([records.request_ids[part] for records, part in parts])),
            labels=_concatenate_labels(
                [{name: column[part] for name, column in records.labels.items()} for records, part in parts], lengths
            ),
            content_hashes=np.concatenate([records.content_hashes[part] for records, part in parts]),
            positions=list(chain.from_iterable([records.positions[part] for records, part in parts])),
            times_ms=np.concatenate([records.times_ms[part] for records, part in parts]),
            carried=frozenset().union(*(records.carried or () for records, _ in parts)),
        )

    @classmethod
    def concatenate_for_block(cls, parts: Sequence["Records"]) -> "Records":
        """Join at least one part from :meth:`copy_for_block` in order."""
        if len(parts) == 1:
            return parts[0]
        lengths = [len(part) for part in parts]
        return cls(
            values=np.concatenate([part.values for part in parts]),
            is_request=np.concatenate([part.is_request for part in parts]),
            request_ids=list(chain.from_iterable([part.request_ids for part in parts])),
            labels=_concatenate_labels([part.labels for part in parts], lengths),
            times_ms=np.concatenate([part.times_ms for part in parts]),
            panes=np.concatenate([part.panes for part in parts]),
            custom_values=_concatenate_custom_values([part.custom_values for part in parts]),
        )

    def pick(self, rows: Sequence[int]) -> "Records":
        """Return the records at the given rows, in the order of the rows. No row may occur twice."""
        faults: list[Fault] = []
        if self.faults:
            picked = {row: number for number, row in enumerate(rows)}
            faults = sorted((picked[row], name, reason) for row, name, reason in self.faults if row in picked)
        index = np.array(rows, dtype=np.intp)
        return Records(
            values=self.values[index],
            is_request=self.is_request[index],
            request_ids=_pick(self.request_ids, rows),
            labels={name: _pick(column, rows) for name, column in self.labels.items()},
            subjects=_pick(self.subjects, rows),
            timestamps=_pick(self.timestamps, rows),
            content_hashes=self.content_hashes[index] if len(self.content_hashes) else self.content_hashes,
            sampling_probabilities=None if self.sampling_probabilities is None else self.sampling_probabilities[index],
            custom_fields=None if self.custom_fields is None else _pick(self.custom_fields, rows),
            embeddings=None if self.embeddings is None else _pick(self.embeddings, rows),
            faults=faults,
            converted={name: mask[index] for name, mask in self.converted.items()},
            look_alikes={name: mask[index] for name, mask in self.look_alikes.items()},
            positions=_pick(self.positions, rows),
            times_ms=self.times_ms[index] if len(self.times_ms) else self.times_ms,
            panes=self.panes[index] if len(self.panes) else self.panes,
            custom_values=self.custom_values[index] if len(self.custom_values) else self.custom_values,
        )

    def cut(self, start: int, stop: int) -> "Records":
        """Return the records from ``start`` up to ``stop``. The arrays are views."""
        if start == 0 and stop == len(self):
            return self
        part = slice(start, stop)
        faults: Sequence[Fault] = ()
        if self.faults:
            first = bisect_left(self.faults, start, key=_ROW)
            last = bisect_left(self.faults, stop, key=_ROW)
            faults = [(row - start, name, reason) for row, name, reason in self.faults[first:last]]
        return Records(
            values=self.values[part],
            is_request=self.is_request[part],
            request_ids=self.request_ids[part],
            labels={name: column[part] for name, column in self.labels.items()},
            subjects=self.subjects[part],
            timestamps=self.timestamps[part],
            content_hashes=self.content_hashes[part],
            sampling_probabilities=None if self.sampling_probabilities is None else self.sampling_probabilities[part],
            custom_fields=None if self.custom_fields is None else self.custom_fields[part],
            embeddings=None if self.embeddings is None else self.embeddings[part],
            faults=faults,
            converted={name: mask[part] for name, mask in self.converted.items()},
            look_alikes={name: mask[part] for name, mask in self.look_alikes.items()},
            positions=self.positions[part],
            times_ms=self.times_ms[part],
            panes=self.panes[part],
            custom_values=self.custom_values[part],
            carried=self.carried,
        )

    @property
    def has_rare_columns(self) -> bool:
        """Whether there are columns that most records do not need."""
        rare = (self.sampling_probabilities, self.custom_fields, self.embeddings)
        has_rare = bool(self.faults or self.converted or self.look_alikes)
        return has_rare or self.carried is None or any(column is not None for column in rare)

    def may_carry(self, column: int) -> bool:
        """Return whether a record may carry the signal of a column of ``values``."""
        return self.carried is None or column in self.carried

    def copy_for_block(self, start: int, stop: int) -> "Records":
        """Copy the columns that a block needs, from ``start`` up to ``stop``, so the batch can be freed."""
        part = slice(start, stop)
        return Records(
            values=self.values[part].copy(),
            is_request=self.is_request[part].copy(),
            request_ids=self.request_ids[part],
            labels={name: column[part] for name, column in self.labels.items()},
            times_ms=self.times_ms[part].copy(),
            panes=self.panes[part].copy(),
            custom_values=self.custom_values[part].copy(),
        )

    def group_by_subject(self, rows: Iterable[int]) -> tuple["Records", dict[str, tuple[int, int]]]:
        """Return the records at the given rows, ordered by subject, and where the records of each subject start and end.

        The subjects are in order of first appearance. The records of a subject keep their order.
        """
        rows_by_subject: dict[str, list[int]] = {}
        for row in rows:
            rows_by_subject.setdefault(self.subjects[row], []).append(row)
        # Sort once and then cut the result, because picking one record costs as much as picking many records.
        ordered = self.pick(list(chain.from_iterable(rows_by_subject.values())))
        ordered.subjects = ()
        ordered.carried = frozenset(np.flatnonzero(~np.isnan(ordered.values).all(axis=0)).tolist())
        bounds: dict[str, tuple[int, int]] = {}
        start = 0
        for subject, subject_rows in rows_by_subject.items():
            bounds[subject] = start, start + len(subject_rows)
            start += len(subject_rows)
        return ordered, bounds

    def split_by_subject(self, rows: Iterable[int]) -> Iterator[tuple[str, "Records"]]:
        """Group the given rows by subject. Yield each subject and its records, in order of first appearance."""
        ordered, bounds = self.group_by_subject(rows)
        for subject, (start, stop) in bounds.items():
            yield subject, ordered.cut(start, stop)

    def dump(self) -> dict[str, Any]:
        """Return the state of buffered records for :meth:`load`, without empty columns."""
        signals = np.flatnonzero(~np.isnan(self.values).all(axis=0))
        custom = np.flatnonzero(~np.isnan(self.custom_values).all(axis=0))
        return {
            "signals": [catalogue.SIGNALS[index].name for index in signals.tolist()],
            "values": self.values[:, signals],
            "custom_signals": custom.tolist(),
            "custom_values": self.custom_values[:, custom],
            "times_ms": self.times_ms,
            "panes": self.panes,
            "is_request": self.is_request,
            "request_ids": list(self.request_ids),
            "labels": {
                name: list(column)
                for name, column in sorted(self.labels.items())
                if any(label is not None for label in column)
            },
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> "Records":
        """Restore records. Raises ``KeyError`` if the state contains a signal that is not in the catalogue."""
        length = len(state["request_ids"])
        values = np.full((length, cls.WIDTH), np.nan)
        values[:, [catalogue.SIGNAL_INDEX[name] for name in state["signals"]]] = state["values"]
        custom_values = np.full((length, max(state["custom_signals"], default=-1) + 1), np.nan)
        custom_values[:, state["custom_signals"]] = state["custom_values"]
        return cls(
            values=values,
            is_request=state["is_request"],
            request_ids=state["request_ids"],
            labels=state["labels"],
            times_ms=state["times_ms"],
            panes=state["panes"],
            custom_values=custom_values,
        )


def _pick(column: Sequence[Item], rows: Sequence[int]) -> Sequence[Item]:
    return [column[row] for row in rows] if column else column


def _chain(columns: Sequence[Sequence[Item]], length: int) -> Sequence[Item]:
    chained = tuple(chain.from_iterable(columns))
    return chained if len(chained) == length else ()


def _chain_some(columns: Sequence[Sequence[Any] | None], lengths: Sequence[int]) -> Sequence[Any] | None:
    """Join columns. Records of a part without the column get None. Return None if no part has the column."""
    if all(column is None for column in columns):
        return None
    chained: list[Any] = []
    for column, length in zip(columns, lengths, strict=True):
        chained += [None] * length if column is None else column
    return chained


def _concatenate_some(
    columns: Sequence[NDArray[np.float64] | None], lengths: Sequence[int]
) -> NDArray[np.float64] | None:
    """Join columns. Records of a part without the column get NaN. Return None if no part has the column."""
    if all(column is None for column in columns):
        return None
    return np.concatenate(
        [np.full(length, np.nan) if column is None else column for column, length in zip(columns, lengths, strict=True)]
    )


def _concatenate(columns: Sequence[NDArray[np.int64]], length: int) -> NDArray[np.int64]:
    concatenated = np.concatenate(columns)
    return concatenated if len(concatenated) == length else _NO_INTEGERS


def _concatenate_labels(
    parts: Sequence[dict[str, Sequence[Label]]], lengths: Sequence[int]
) -> dict[str, Sequence[Label]]:
    concatenated: dict[str, Sequence[Label]] = {}
    for name in dict.fromkeys(name for labels in parts for name in labels):
        column: list[Label] = []
        for labels, length in zip(parts, lengths, strict=True):
            column += labels.get(name) or [None] * length
        concatenated[name] = column
    return concatenated


def _concatenate_masks(
    parts: Sequence[dict[str, NDArray[np.bool_]]], lengths: Sequence[int]
) -> dict[str, NDArray[np.bool_]]:
    names = dict.fromkeys(name for masks in parts for name in masks)
    return {
        name: np.concatenate(
            [masks.get(name, np.zeros(length, dtype=np.bool_)) for masks, length in zip(parts, lengths, strict=True)]
        )
        for name in names
    }


def _concatenate_custom_values(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Concatenate parts of different widths, with NaN in missing columns."""
    if not any(map(len, parts)):
        return _NO_VALUES
    width = max(part.shape[1] for part in parts)
    concatenated = np.full((sum(len(part) for part in parts), width), np.nan)
    if width:
        start = 0
        for part in parts:
            concatenated[start : start + len(part), : part.shape[1]] = part
            start += len(part)
    return concatenated
