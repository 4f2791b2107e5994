"""A baseline in little memory, for the streams that use it."""

import copy
import functools
import sys
from collections.abc import Mapping, Sequence
from typing import Self

import cramjam
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from pipeline.detect.baselines.packed_numbers import pack_knots, unpack_knots
from pipeline.detect.baselines.ranks import RankTables
from pipeline.step import InputMessage
from schemas.baseline import Baseline
from schemas.message import Message
from schemas.timestamp import Timestamp

READ_BASELINES_MAX = 8
"""Maximum number of read baselines that stay in memory. Each takes about a third of a megabyte."""

_LEVEL = 9
"""Level of Zstandard. A baseline is packed once."""

_SIGNALS = b',"signals":{'
_LATE_FIELDS = (b'"longest_gap_s":', b'"quietest_per_s":', b'"effective_at":')
_HOURS = b'"hours_from":'


class _Head(Message):
    """The fields of a baseline that are read without its signals."""

    subject: str
    baseline_version: str
    source: str
    longest_gap_s: float = 0
    quietest_per_s: float = 0
    effective_at: Timestamp | None = None


class PackedBaseline:
    """A baseline, compressed. A stream needs its baseline only for a finding, and each baseline has thousands of numbers.

    Parameters
    ----------
    baseline
        The baseline, which a :class:`pipeline.detect.monitor.Monitor` accepts.
    tables, names
        The rank tables of a monitor, and the name of the signal of each. Their knots are not stored a second time.

    Attributes
    ----------
    subject, baseline_version, source
        Its subject, version and source.
    effective_at
        Event time from which it applies in Unix milliseconds, or 0.
    longest_gap_s, quietest_per_s
        Longest time without a record, and records per second in the quietest slice.
    has_hours
        Whether it may contain the requests of hours.
    is_checked
        Whether it is known that a monitor accepts it.
    """

    def __init__(self, baseline: Baseline, tables: RankTables | None = None, names: Sequence[str] = ()) -> None:
        self._set_head(baseline)
        self.has_hours = baseline.traffic is not None and baseline.traffic.hours_from is not None
        self.is_checked = True
        self._message: InputMessage | None = None
        self._tables, self._table_names = tables, tuple(names)
        knots = {
            name: np.array(signal.knots)
            for name, signal in baseline.signals.items()
            if signal.knots is not None and name not in self._table_names
        }
        self._pack_knots(knots)
        signals = {name: signal.model_copy(update={"knots": None}) for name, signal in baseline.signals.items()}
        content = baseline.model_copy(update={"signals": signals}).to_json()
        self._content = bytes(cramjam.zstd.compress(content, _LEVEL))

    @classmethod
    def from_message(cls, message: InputMessage) -> Self | None:
        """Return the baseline of a message, which is read when it is needed. Return None if it is not a baseline.

        Reading all baselines of a fleet would delay a restart by many seconds.
        """
        try:
            head = _read_head(message.value or b"")
        except ValidationError:
            return None
        packed = cls.__new__(cls)
        packed._set_head(head)  # noqa: SLF001 - the same class
        packed.has_hours = _HOURS in (message.value or b"")
        packed.is_checked, packed._message = False, message  # noqa: SLF001 - the same class
        return packed

    def read(self) -> Baseline:
        """Return the baseline.

        Raises
        ------
        pydantic.ValidationError
            If the baseline is not checked and does not fit its contract.
        """
        return _read(self)

    def without_tables(self) -> Self:
        """Return the baseline with its knots packed, so the tables can be freed."""
        if self._tables is None:
            return self
        packed = copy.copy(self)
        packed._tables, packed._table_names = None, ()  # noqa: SLF001 - the same class
        packed._pack_knots(self._read_knots())  # noqa: SLF001 - the same class
        return packed

    def _pack_knots(self, knots: Mapping[str, NDArray[np.float64]]) -> None:
        self._names = tuple(map(sys.intern, knots))
        self._knots = pack_knots(list(knots.values()))

    def _read_knots(self) -> dict[str, NDArray[np.float64]]:
        knots = dict(zip(self._names, unpack_knots(self._knots), strict=True))
        if self._tables is not None:
            knots |= {name: self._tables.knots(index) for index, name in enumerate(self._table_names)}
        return knots

    def _set_head(self, head: Baseline | _Head) -> None:
        self.subject, self.baseline_version, self.source = head.subject, head.baseline_version, head.source
        self.effective_at = head.effective_at or 0
        self.longest_gap_s, self.quietest_per_s = head.longest_gap_s, head.quietest_per_s

    def _unpack(self) -> Baseline:
        if self._message is not None:
            return Baseline.from_json(self._message.value or b"")
        baseline = Baseline.from_json(bytes(cramjam.zstd.decompress(self._content)))
        signals = dict(baseline.signals)
        for name, knots in self._read_knots().items():
            signals[name] = signals[name].model_copy(update={"knots": knots.tolist()})
        return baseline.model_copy(update={"signals": signals})


def _read_head(value: bytes) -> Baseline | _Head:
    """Return the fields before the signals if all others are among them, and otherwise the complete baseline."""
    head, found, rest = value.partition(_SIGNALS)
    if not found or any(field in rest for field in _LATE_FIELDS):
        return Baseline.from_json(value)
    return _Head.from_json(head + b"}")


@functools.lru_cache(READ_BASELINES_MAX)
def _read(packed: PackedBaseline) -> Baseline:
    return packed._unpack()  # noqa: SLF001 - cached per baseline, in bounded memory
