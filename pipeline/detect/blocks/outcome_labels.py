"""Labels of late outcomes: an outcome takes the versions that it does not name from its request.

Without them, a thumbs-down that comes later belongs to no version, and a comparison of versions cannot see it. An
outcome also takes the monitored segments, such as its tenant and its region. It takes no other label: the provider's
model is itself monitored, and would be counted twice.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.chunk_window import CHUNKS, ChunkWindow
from pipeline.detect.admission import Records
from pipeline.detect.settings import DAY_S

ACTIVE_PANES = DAY_S
"""Panes (seconds) after a late outcome during which the labels of requests are remembered. A stream without late
outcomes remembers none."""

LABEL_CHARACTERS_MAX = 65_536
"""Maximum characters of the different labels that the requests of one chunk have. Requests with further combinations of
labels are not remembered."""

_VERSIONS = "versions."
_NO_HASHES: NDArray[np.uint32] = np.empty(0, dtype=np.uint32)
_NO_CODES: NDArray[np.uint16] = np.empty(0, dtype=np.uint16)

Labels = dict[str, str]
"""Labels of a request by name, such as ``versions.prompt``."""


@dataclass(slots=True)
class _Requests:
    """A chunk of requests.

    Attributes
    ----------
    hashes, codes
        Shape ``(N,)``: hashes of the request ids, sorted, and for each request the index of its labels in
        ``combinations``. Requests with the same id are in order of arrival.
    combinations
        The different labels.
    characters
        Number of characters of ``combinations``.
    """

    hashes: NDArray[np.uint32] = field(default_factory=lambda: _NO_HASHES)
    codes: NDArray[np.uint16] = field(default_factory=lambda: _NO_CODES)
    combinations: list[Labels] = field(default_factory=list)
    characters: int = 0
    _codes_by_labels: dict[tuple[tuple[str, str], ...], int] = field(default_factory=dict)

    def add(self, hashes: NDArray[np.uint32], codes: NDArray[np.int64]) -> None:
        """Add requests in order of arrival."""
        hashes = np.concatenate((self.hashes, hashes))
        order = np.argsort(hashes, kind="stable")
        self.hashes, self.codes = hashes[order], np.concatenate((self.codes, codes.astype(np.uint16)))[order]

    def code_of(self, labels: Labels) -> int:
        """Return the code of labels, or -1 if there are none or no room for them."""
        key = tuple(labels.items())
        code = self._codes_by_labels.get(key, -1)
        if code < 0 and labels and self.characters < LABEL_CHARACTERS_MAX:
            code = self._codes_by_labels[key] = len(self.combinations)
            self.combinations.append(labels)
            self.characters += sum(len(name) + len(label) for name, label in key)
        return code

    def find(self, hashes: NDArray[np.uint32]) -> list[Labels | None]:
        """Return the labels of the newest request with each hash."""
        if not len(self.hashes):
            return [None] * len(hashes)
        found = self.hashes.searchsorted(hashes, side="right") - 1
        is_known = self.hashes[found] == hashes
        codes = zip(is_known.tolist(), self.codes[found].tolist(), strict=True)
        return [self.combinations[code] if known else None for known, code in codes]

    def dump(self) -> dict[str, Any]:
        return {"hashes": self.hashes, "codes": self.codes, "combinations": self.combinations}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "_Requests":
        requests = cls(state["hashes"], state["codes"])
        for labels in state["combinations"]:
            requests.code_of(labels)
        return requests


class OutcomeLabels:
    """The labels of the latest requests of a stream, by request id.

    An outcome takes labels from the newest earlier request with its id that has any. A trace id can identify several
    requests, and the last of them usually gave the answer that the outcome is about. An outcome that arrives before its
    request, or after more requests than are remembered, takes no labels. Neither do the first outcomes of a stream,
    because requests are remembered from the first outcome on.

    Parameters
    ----------
    window
        Maximum number of requests to remember. At least 7/8 of this number are remembered. A request takes 6 bytes.
        With 0, no request is remembered.
    dimensions
        Names of the monitored segment dimensions.

    Attributes
    ----------
    SETTINGS
        Names of the settings on which the chunks depend.
    last_outcome_pane
        Pane of the newest late outcome, or None before the first one.
    """

    SETTINGS: ClassVar = ("outcome_window",)

    def __init__(self, window: int, dimensions: Sequence[str]) -> None:
        self._chunk_requests = -(-window // CHUNKS)
        self._segments = frozenset(f"segment.{name}" for name in dimensions)
        self._window = ChunkWindow(_Requests)
        self.last_outcome_pane: int | None = None

    def fill(self, records: Records) -> tuple[Records, int]:
        """Fill in the labels of late outcomes, and remember the labels of requests.

        Parameters
        ----------
        records
            At least one record with panes, in order of arrival.

        Returns
        -------
        records
            The records with the labels. The given records are not changed, because their batch may still need them.
        unversioned
            Number of late outcomes that have no version.
        """
        has_outcomes = not records.is_request.all()
        last = self.last_outcome_pane
        if not has_outcomes and (last is None or int(records.panes[0]) - last >= ACTIVE_PANES):
            return records, 0
        never = int(records.panes[0]) - ACTIVE_PANES
        outcome_panes = np.maximum.accumulate(
            np.where(records.is_request, never if last is None else last, records.panes)
        )
        if has_outcomes:
            self.last_outcome_pane = int(outcome_panes[-1])
        outcomes = np.flatnonzero(~records.is_request)
        if self._chunk_requests:
            found = self._match(records, _find_remembered(records, outcome_panes), outcomes)
            records = _fill_labels(records, {row: labels for row, labels in found.items() if labels is not None})
        return records, _count_without_version(records, outcomes.tolist())

    def _match(
        self, records: Records, requests: NDArray[np.intp], outcomes: NDArray[np.intp]
    ) -> dict[int, Labels | None]:
        """Remember requests, and return the labels of the request of each outcome, by row."""
        hashes = _hash_ids(records.request_ids)
        labels = _LabelReader(records, self._segments)
        found: dict[int, Labels | None] = {}
        start = first_outcome = 0
        while start < len(requests) or first_outcome < len(outcomes):
            # A chunk can become full only at the end of a run, so the result does not depend on batches.
            newest = self._window.newest
            room = self._chunk_requests - len(newest.hashes)
            rows = requests[start : start + room]
            start += len(rows)
            last_outcome = int(outcomes.searchsorted(rows[-1])) if len(rows) == room else len(outcomes)
            in_run = outcomes[first_outcome:last_outcome]
            codes = labels.codes(rows, newest)
            rows, codes = rows[codes >= 0], codes[codes >= 0]
            if len(in_run):
                earlier = _find_earlier(hashes, rows, in_run)
                known = iter(self._find(hashes[in_run[earlier < 0]]))
                for row, number in zip(in_run.tolist(), earlier.tolist(), strict=True):
                    found[row] = next(known) if number < 0 else newest.combinations[int(codes[number])]
            if len(rows):
                newest.add(hashes[rows], codes)
                self._window.mark_newest()
                if len(newest.hashes) == self._chunk_requests:
                    self._window.begin_chunk()
            first_outcome = last_outcome
        return found

    def _find(self, hashes: NDArray[np.uint32]) -> list[Labels | None]:
        """Return the labels of the newest remembered request with each hash."""
        found: list[Labels | None] = [None] * len(hashes)
        missing = np.arange(len(hashes))
        for chunk in reversed(self._window.chunks):
            if not len(missing):
                break
            for number, labels in zip(missing.tolist(), chunk.find(hashes[missing]), strict=True):
                found[number] = labels
            missing = np.array([number for number in missing.tolist() if found[number] is None], dtype=np.intp)
        return found

    def mark_all(self) -> None:
        """Mark all chunks as changed."""
        self._window.mark_all()

    def dump_changed(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the chunks that changed since the last call, by slot."""
        for slot, number, chunk in self._window.take_changed():
            yield slot, {"number": number, **chunk.dump()}

    @staticmethod
    def read_chunk(state: dict[str, Any]) -> tuple[int, _Requests]:
        """Return the number and the content of a chunk that :meth:`dump_changed` yielded."""
        return int(state["number"]), _Requests.load(state)

    def load(self, chunks: Iterable[tuple[int, _Requests]]) -> None:
        """Restore chunks from :meth:`read_chunk`, in any order. Chunks that are older than the window are ignored."""
        self._window.load(dict(chunks), lambda chunk: len(chunk.hashes) >= self._chunk_requests)


class _LabelReader:
    """Reader of the labels that outcomes take, as codes of a chunk."""

    def __init__(self, records: Records, segments: frozenset[str]) -> None:
        self._names = sorted(name for name in records.labels if name.startswith(_VERSIONS) or name in segments)
        self._labels = list(zip(*(records.labels[name] for name in self._names), strict=True))

    def codes(self, rows: NDArray[np.intp], requests: _Requests) -> NDArray[np.int64]:
        """Return the code of the labels of each row, or -1 for a row that cannot be remembered."""
        if not self._labels or not len(rows):
            return np.full(len(rows), -1)
        labels = [self._labels[row] for row in rows.tolist()]
        codes = {
            values: requests.code_of(
                {name: label for name, label in zip(self._names, values, strict=True) if label is not None}
            )
            for values in dict.fromkeys(labels)
        }
        return np.fromiter(map(codes.__getitem__, labels), dtype=np.int64, count=len(labels))


def _find_remembered(records: Records, outcome_panes: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the rows of the requests to remember, given the pane of the newest outcome before each record."""
    is_remembered = records.is_request & (records.panes - outcome_panes < ACTIVE_PANES)
    if None in records.request_ids:
        is_remembered &= np.array([request_id is not None for request_id in records.request_ids], dtype=np.bool_)
    return np.flatnonzero(is_remembered)


def _hash_ids(request_ids: Sequence[str | None]) -> NDArray[np.uint32]:
    """Return the CRC-32 of each id. Different ids have equal hashes with a probability of 2^-32."""
    encoded = map(str.encode, [request_id or "" for request_id in request_ids])
    return np.fromiter(map(zlib.crc32, encoded), dtype=np.uint32, count=len(request_ids))


def _find_earlier(
    hashes: NDArray[np.uint32], requests: NDArray[np.intp], outcomes: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the index of the last request before each outcome with the same hash, or -1. Both are rows."""
    if not len(requests):
        return np.full(len(outcomes), -1, dtype=np.intp)
    keys = hashes.astype(np.int64) << 32 | np.arange(len(hashes))
    order = np.argsort(keys[requests])
    ordered = keys[requests][order]
    found = ordered.searchsorted(keys[outcomes]) - 1
    is_same: NDArray[np.bool_] = (found >= 0) & (ordered[found] >> 32 == keys[outcomes] >> 32)
    return np.where(is_same, order[found], -1)


def _fill_labels(records: Records, found: Mapping[int, Labels]) -> Records:
    """Return the records with the labels of outcomes, by row, where they have none."""
    names = dict.fromkeys(
        name for labels in {id(labels): labels for labels in found.values()}.values() for name in labels
    )
    filled: dict[str, Sequence[str | None]] = {}
    for name in names:
        column = list(records.labels.get(name) or [None] * len(records))
        for row, labels in found.items():
            if column[row] is None:
                column[row] = labels.get(name)
        filled[name] = column
    return replace(records, labels=records.labels | filled) if filled else records


def _count_without_version(records: Records, rows: Sequence[int]) -> int:
    columns = [column for name, column in records.labels.items() if name.startswith(_VERSIONS)]
    return sum(all(column[row] is None for column in columns) for row in rows)
