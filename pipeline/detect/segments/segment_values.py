"""The values of one segment dimension, such as tenants.

Live values have recent records. Monitored values have a slot in the bank.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.settings import DAY_S

LIVE_S = 3600
"""Seconds of event time for which a value stays live after its last record."""

FOUNDING_S = 600
"""Seconds of event time after which a version counts as new, regardless of the number of records before it."""

NOT_MONITORED = -1
"""Slot of a value that is not monitored."""


@dataclass(slots=True)
class SegmentValue:
    """One value of a dimension.

    Attributes
    ----------
    slot
        Slot of the value in the bank, or ``NOT_MONITORED``.
    first_pane, last_pane
        Panes of the first and the last record of the value.
    is_settling
        Whether a deviation may be normal for this value, because it existed when monitoring began or is not a version.
    signal_records
        Shape ``(S,)``: the number of records of the value that carry the signal of each test.
    recent_records, counted_pane
        Number of records of the value in about the last hour, as of the pane ``counted_pane``. The weight of a record
        halves every hour.
    """

    label: str
    slot: int
    first_pane: int
    last_pane: int
    is_settling: bool
    signal_records: NDArray[np.float64]
    recent_records: float = 0.0
    counted_pane: int = 0

    def recent_records_at(self, pane: int) -> float:
        """Return the number of records of the value in about the last hour before a pane."""
        return self.recent_records * float(0.5 ** ((pane - self.counted_pane) / LIVE_S))

    def count_records(self, pane: int, records: int) -> None:
        """Add records up to a pane."""
        self.recent_records, self.counted_pane = self.recent_records_at(pane) + records, pane


class SegmentValues:
    """The values of one dimension.

    Parameters
    ----------
    limit
        Maximum number of stored values. At the limit, a new value replaces the oldest value if the oldest value has not
        been seen for more than a day. Otherwise, the new value counts as ``other``.
    tests
        Number ``S`` of tests that run per value.
    founding_records
        A version counts as original if it appears within the first ``founding_records`` records of the dimension and
        within the first ten minutes.

    Attributes
    ----------
    is_version
        Whether the values are versions. A new version is monitored from its first record.
    values
        The values by label, in the order of their first record.
    other_records
        Number of records of values that were not stored.
    """

    def __init__(self, limit: int, tests: int, founding_records: int) -> None:
        self._limit, self._tests, self._founding_records = limit, tests, founding_records
        self.is_version = False
        self.values: dict[str, SegmentValue] = {}
        self.other_records = 0
        self._records = 0
        self._first_pane: int | None = None

    def update(
        self, labels: Sequence[str | None], first_pane: int, last_pane: int
    ) -> tuple[list[SegmentValue], list[SegmentValue]]:
        """Count the labels of a block.

        Returns
        -------
        present, replaced
            The values in the block, in the order of their first record, and the values that they replaced.
        """
        present: list[SegmentValue] = []
        replaced: list[SegmentValue] = []
        without_room: set[str] = set()
        self._first_pane = first_pane if self._first_pane is None else self._first_pane
        for label in dict.fromkeys(labels):
            if label is None:
                continue
            value = self.values.get(label)
            if value is None:
                # If a value does not fit, neither does the next value.
                if len(self.values) >= self._limit and (without_room or not self._make_room(first_pane, replaced)):
                    without_room.add(label)
                    continue
                value = self._add(label, first_pane, last_pane)
            value.last_pane = last_pane
            present.append(value)
        if without_room:
            self.other_records += sum(1 for label in labels if label in without_room)
        self._records += len(labels)
        return present, replaced

    def add_new(self, labels: Sequence[str], first_pane: int, last_pane: int) -> bool:
        """Store the new values of a block whose records are counted later, if there is room for all of them.

        Afterwards, :meth:`update` has the same result for that block as before.

        Parameters
        ----------
        labels
            The distinct labels that are not stored yet, in the order of their first record.
        """
        if len(self.values) + len(labels) > self._limit:
            return False
        self._first_pane = first_pane if self._first_pane is None else self._first_pane
        for label in labels:
            self._add(label, first_pane, last_pane)
        return True

    def count_known(self, records: int) -> None:
        """Count records whose values are all stored."""
        self._records += records

    def restart_settling(self, tests: Sequence[int], pane: int) -> None:
        """Start the settling period of all values again at a pane, for the given tests."""
        for value in self.values.values():
            value.is_settling, value.first_pane = True, pane
            value.signal_records[tests] = 0.0

    def live_values(self, pane: int) -> list[SegmentValue]:
        """Return the values with a record within the last hour."""
        return [value for value in self.values.values() if pane - value.last_pane <= LIVE_S]

    def traffic_share(self, value: SegmentValue, pane: int) -> float:
        """Return the share of records with this value, over about the last hour."""
        total = sum(other.recent_records_at(pane) for other in self.values.values())
        return value.recent_records_at(pane) / total if total else 0.0

    def dump(self) -> dict[str, Any]:
        """Return the state: plain values and arrays."""
        return {
            "is_version": self.is_version,
            "other_records": self.other_records,
            "records": self._records,
            "first_pane": self._first_pane,
            "values": [
                [
                    value.label,
                    value.first_pane,
                    value.last_pane,
                    value.is_settling,
                    value.recent_records,
                    value.counted_pane,
                ]
                for value in self.values.values()
            ],
            "signal_records": np.array([value.signal_records for value in self.values.values()]).reshape(
                len(self.values), self._tests
            ),
        }

    def load(self, state: dict[str, Any], sources: Sequence[int | None]) -> None:
        """Restore the state that :meth:`dump` returned, except for the slots.

        Parameters
        ----------
        sources
            For each test, the stored test with the same signal; None if there is none.
        """
        stored = np.array(state["signal_records"], dtype=np.float64)
        signal_records = np.zeros((len(state["values"]), self._tests))
        for test, source in enumerate(sources):
            if source is not None:
                signal_records[:, test] = stored[:, source]
        self.is_version, self.other_records = state["is_version"], state["other_records"]
        self._records, self._first_pane = state["records"], state["first_pane"]
        self.values = {
            label: SegmentValue(
                label, NOT_MONITORED, first, last, is_settling, signal_records[row].copy(), recent, counted
            )
            for row, (label, first, last, is_settling, recent, counted) in enumerate(state["values"])
        }

    def _add(self, label: str, first_pane: int, last_pane: int) -> SegmentValue:
        """Store a new value of a block whose records are not counted yet."""
        began = first_pane if self._first_pane is None else self._first_pane
        is_founding = self._records < self._founding_records and first_pane - began < FOUNDING_S
        is_settling = not self.is_version or is_founding
        value = SegmentValue(label, NOT_MONITORED, first_pane, last_pane, is_settling, np.zeros(self._tests))
        self.values[label] = value
        return value

    def _make_room(self, pane: int, replaced: list[SegmentValue]) -> bool:
        oldest = min(self.values.values(), key=lambda value: value.last_pane)
        if pane - oldest.last_pane <= DAY_S:
            return False
        replaced.append(self.values.pop(oldest.label))
        return True


def compute_densities(value_indexes: Sequence[NDArray[np.int64]], values: int) -> NDArray[np.float64]:
    """Compute the density of each value: the share of its records that directly follow a record of the same value.

    The density is the value's share of all records if they arrive at random, and 1 if they arrive in a row. The density
    is never lower than that share, which matters for values with few records in a block.

    Parameters
    ----------
    value_indexes
        See :func:`pipeline.detect.segments.segment_sums.group_rows`.

    Returns
    -------
    numpy.ndarray
        Shape ``(values,)``.

    >>> compute_densities([np.array([0, 0, 0, 1, 0, 1])], 2).tolist()
    [0.6666666666666666, 0.3333333333333333]
    """
    records, following = np.zeros(values), np.zeros(values)
    for indexes in value_indexes:
        records += np.bincount(indexes[indexes >= 0], minlength=values)
        repeated = indexes[1:][(indexes[1:] == indexes[:-1]) & (indexes[1:] >= 0)]
        following += np.bincount(repeated, minlength=values)
    densities: NDArray[np.float64] = np.maximum(
        following / np.maximum(records - 1.0, 1.0), records / max(1, value_indexes[0].size)
    )
    return np.minimum(densities, 1.0)
