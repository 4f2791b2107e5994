"""Find records that a stream has already received, within a bounded window, because retries must not count twice.

A duplicate has the same bytes as an earlier record of the stream, including its id and its time. It must also be
distinctive: a record that could not repeat by chance (see :func:`find_distinctive`). All other records count, even if
they are equal: many gateways send an empty id, one id for all requests, or one id for all requests of a trace.

This is the last step of admission. All other records go on to ``pipeline/detect/blocks``.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.chunk_window import CHUNKS, ChunkWindow
from pipeline.detect.admission.records import Records
from pipeline.detect.signals import catalogue

NUMBERS_MIN = 2
"""Minimum number of numeric values, in addition to the time, at which a record without an id is distinctive."""

_NUMBERS = [index for index, signal in enumerate(catalogue.SIGNALS) if signal.kind != "rate"]
_NO_HASHES: NDArray[np.int64] = np.empty(0, dtype=np.int64)


def hash_contents(contents: Sequence[bytes]) -> NDArray[np.int64]:
    """Return the CRC-32 of each record's bytes, which is the fastest stable hash in the standard library."""
    return np.fromiter(map(zlib.crc32, contents), dtype=np.int64, count=len(contents))


def identity_hashes(records: Records) -> NDArray[np.int64]:
    """Return 64 bits for each record: the hash of its bytes, and the low bits of its time in milliseconds.

    Different records have equal hashes with a probability of 2^-32, and only if their times are equal too.
    """
    return (records.content_hashes << 32) | (records.times_ms & 0xFFFFFFFF)


def find_distinctive(records: Records) -> NDArray[np.bool_]:
    """Return a mask of the distinctive records. A record that equals a distinctive record must be a repetition.

    A record is distinctive if it has a request id, or if its time has a fraction of a second and it has two other
    numbers.
    """
    if None not in records.request_ids:
        return np.ones(len(records), dtype=np.bool_)
    is_distinctive = np.array([request_id is not None for request_id in records.request_ids], dtype=np.bool_)
    numbers: NDArray[np.intp] = np.sum(~np.isnan(records.values[:, _NUMBERS]), axis=1)
    columns: tuple[Sequence[Any] | None, ...] = (records.custom_fields, records.embeddings)
    for column in columns:
        if column is not None:
            for row in np.flatnonzero(numbers < NUMBERS_MIN).tolist():
                numbers[row] += _count_numbers(column[row])
    is_distinctive |= (numbers >= NUMBERS_MIN) & (records.times_ms % 1000 != 0)
    return is_distinctive


def _count_numbers(content: Any) -> int:
    values = content.values() if isinstance(content, dict) else content or ()
    return sum(type(value) in (int, float) for value in values)


class Duplicates:
    """The content hashes of the latest records of a stream.

    Parameters
    ----------
    window
        Maximum number of records to remember. At least 7/8 of this number are remembered. A record takes 8 bytes. With
        0, no record is remembered.

    Attributes
    ----------
    SETTINGS
        Names of the settings on which the chunks depend.

    >>> duplicates = Duplicates(8)
    >>> duplicates.find_new_hashes(np.array([1, 2, 1])).tolist()
    [True, True, False]
    """

    SETTINGS: ClassVar = ("duplicate_window",)

    def __init__(self, window: int) -> None:
        self._chunk_records = -(-window // CHUNKS)
        self._window = ChunkWindow(_empty_chunk)

    def find_new(self, records: Records) -> NDArray[np.bool_]:
        """Return a mask of the new records, and remember them. Records that are not distinctive are always new."""
        if None not in records.request_ids:
            return self.find_new_hashes(identity_hashes(records))
        is_new = np.ones(len(records), dtype=np.bool_)
        rows = np.flatnonzero(find_distinctive(records))
        is_new[rows] = self.find_new_hashes(identity_hashes(records)[rows])
        return is_new

    def find_new_hashes(self, hashes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return a mask of the new hashes, and remember them."""
        if len(self._window.newest) + len(hashes) <= self._chunk_records:
            return self._find_new_in_run(hashes)
        is_new = np.ones(len(hashes), dtype=np.bool_)
        start = 0
        while self._chunk_records and start < len(hashes):
            # A chunk can become full only at the end of a run, so the result does not depend on batches.
            run = slice(start, start + self._chunk_records - len(self._window.newest))
            is_new[run] = self._find_new_in_run(hashes[run])
            start = run.stop
        return is_new

    def _find_new_in_run(self, hashes: NDArray[np.int64]) -> NDArray[np.bool_]:
        ordered = np.sort(hashes)
        is_known = self._find_known(ordered)
        is_new = ~is_known
        if is_new.all():
            self._remember(ordered)
            return is_new
        self._remember(ordered[is_new])
        by_row = np.empty_like(is_new)
        # The sort is stable, so the earliest of equal hashes comes first.
        by_row[np.argsort(hashes, kind="stable")] = is_new
        return by_row

    def _find_known(self, ordered: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return a mask of the sorted hashes that are in a chunk or equal the previous hash."""
        is_known = np.zeros(len(ordered), dtype=np.bool_)
        is_known[1:] = ordered[1:] == ordered[:-1]
        for chunk in self._window.chunks:
            if len(chunk):
                found = chunk.searchsorted(ordered)
                is_known |= chunk.take(found, mode="clip") == ordered
        return is_known

    def _remember(self, ordered: NDArray[np.int64]) -> None:
        """Add sorted hashes to the newest chunk, which stays sorted."""
        if not len(ordered):
            return
        joined = np.concatenate((self._window.newest, ordered))
        joined.sort()
        self._window.newest = joined
        self._window.mark_newest()
        if len(self._window.newest) == self._chunk_records:
            self._window.begin_chunk()

    def mark_all(self) -> None:
        """Mark all chunks as changed."""
        self._window.mark_all()

    def dump_changed(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the chunks that changed since the last call, by slot."""
        for slot, number, hashes in self._window.take_changed():
            yield slot, {"number": number, "hashes": hashes}

    @staticmethod
    def read_chunk(state: dict[str, Any]) -> tuple[int, NDArray[np.int64]]:
        """Return the number and the hashes of a chunk that :meth:`dump_changed` yielded."""
        return int(state["number"]), np.sort(np.asarray(state["hashes"], dtype=np.int64))

    def load(self, chunks: Iterable[tuple[int, NDArray[np.int64]]]) -> None:
        """Restore chunks from :meth:`read_chunk`, in any order. Chunks that are older than the window are ignored."""
        self._window.load(dict(chunks), lambda chunk: len(chunk) >= self._chunk_records)


def _empty_chunk() -> NDArray[np.int64]:
    return _NO_HASHES
