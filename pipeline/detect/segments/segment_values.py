"""The values of one segment dimension, such as the tenants: which are live, and which are watched one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.settings import DAY_S

LIVE_S = 3600
"""Seconds of event time for which a value counts as live after its last record."""

FOUNDING_S = 600
"""Seconds of event time after which a version is new, however few records there were before it."""

NOT_WATCHED = -1
"""The slot of a value that has no walks of its own."""


@dataclass(slots=True)
class SegmentValue:
    """One value of a dimension.

    Attributes
    ----------
    slot
        Where its walks lie in the bank, or ``NOT_WATCHED``.
    begun, last
        The panes in which it was first and last seen.
    settling
        Whether what is odd of it may be its own normal, because it was there when judging began, or is no version.
    carried
        Shape ``(N,)``: how many of its records carried each watched signal.
    recent, counted
        Its records of about the last hour, an older one counting half each hour, as of the pane ``counted``.
    """

    label: str
    slot: int
    begun: int
    last: int
    settling: bool
    carried: NDArray[np.float64]
    recent: float = 0.0
    counted: int = 0

    def recent_at(self, pane: int) -> float:
        """Its records of about the last hour before a pane."""
        return self.recent * float(0.5 ** ((pane - self.counted) / LIVE_S))

    def count(self, pane: int, records: int) -> None:
        """Count some records, up to a pane."""
        self.recent, self.counted = self.recent_at(pane) + records, pane


class SegmentValues:
    """One dimension. A dimension of which one value is live is the whole subject, and is not watched.

    Parameters
    ----------
    limit
        Values kept. At the limit the value unseen for longest makes room, if it was not seen for a day; else a new
        value is among the others.
    signals
        N, the watched signals.
    founding_records
        Records of blocks that hold the dimension within which a version is taken to have been there before judging
        began, if it comes in the first ten minutes.

    Attributes
    ----------
    is_version
        Whether the values are versions of something: then one that is new has to be judged at once.
    values
        By label, in the order of their first record.
    others
        Records of values for which there was no room.
    """

    def __init__(self, limit: int, signals: int, founding_records: int) -> None:
        self._limit, self._signals, self._founding = limit, signals, founding_records
        self.is_version = False
        self.values: dict[str, SegmentValue] = {}
        self.others = 0
        self._records = 0
        self._begun: int | None = None

    def observe(
        self, labels: Sequence[str | None], first_pane: int, last_pane: int
    ) -> tuple[list[SegmentValue], list[SegmentValue]]:
        """Take in the labels of a block.

        Returns
        -------
        present, gone
            The values that it holds, in the order of their first record, and those that had to make room.
        """
        present: list[SegmentValue] = []
        gone: list[SegmentValue] = []
        without_room: set[str] = set()
        self._begun = first_pane if self._begun is None else self._begun
        is_founding = self._records < self._founding and first_pane - self._begun < FOUNDING_S
        for label in dict.fromkeys(labels):
            if label is None:
                continue
            value = self.values.get(label)
            if value is None:
                # If one had no room, the next has none either.
                if len(self.values) >= self._limit and (without_room or not self._make_room(first_pane, gone)):
                    without_room.add(label)
                    continue
                settling = not self.is_version or is_founding
                carried = np.zeros(self._signals)
                value = SegmentValue(label, NOT_WATCHED, first_pane, last_pane, settling, carried)
                self.values[label] = value
            value.last = last_pane
            present.append(value)
        if without_room:
            self.others += sum(1 for label in labels if label in without_room)
        self._records += len(labels)
        return present, gone

    def live(self, pane: int) -> list[SegmentValue]:
        """The values of which there was a record within the last hour."""
        return [value for value in self.values.values() if pane - value.last <= LIVE_S]

    def share(self, value: SegmentValue, pane: int) -> float:
        """A value's share of the records of all values in about the last hour."""
        everyone = sum(each.recent_at(pane) for each in self.values.values())
        return value.recent_at(pane) / everyone if everyone else 0.0

    def dump(self) -> dict[str, Any]:
        """The state: plain values and arrays."""
        return {
            "is_version": self.is_version,
            "others": self.others,
            "records": self._records,
            "begun": self._begun,
            "values": [
                [value.label, value.slot, value.begun, value.last, value.settling, value.recent, value.counted]
                for value in self.values.values()
            ],
            "carried": np.array([value.carried for value in self.values.values()]).reshape(-1, self._signals),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave.

        Raises
        ------
        ValueError
            If it is of other signals.
        """
        carried = np.array(state["carried"], dtype=np.float64)
        if carried.shape != (len(state["values"]), self._signals):
            raise ValueError(f"kept counts of shape {carried.shape} do not fit {self._signals} watched signals")
        self.is_version, self.others, self._records = state["is_version"], state["others"], state["records"]
        self._begun = state["begun"]
        self.values = {
            label: SegmentValue(label, slot, begun, last, settling, carried[place].copy(), recent, counted)
            for place, (label, slot, begun, last, settling, recent, counted) in enumerate(state["values"])
        }

    def _make_room(self, pane: int, gone: list[SegmentValue]) -> bool:
        oldest = min(self.values.values(), key=lambda value: value.last)
        if pane - oldest.last <= DAY_S:
            return False
        gone.append(self.values.pop(oldest.label))
        return True


def densities(places: Sequence[NDArray[np.int64]], values: int) -> NDArray[np.float64]:
    """How close together the records of each value lie: the share of its records that follow one of its own.

    Of records that come at random it is the value's share; of those that come in a row, 1. Where a block has too few
    records of a value to say, it is its share.

    Parameters
    ----------
    places
        As of :func:`pipeline.detect.segments.segment_sums.parts_of`.

    Returns
    -------
    numpy.ndarray
        Shape ``(values,)``.

    >>> densities([np.array([0, 0, 0, 1, 0, 1])], 2).tolist()
    [0.6666666666666666, 0.3333333333333333]
    """
    counts, following = np.zeros(values), np.zeros(values)
    for own in places:
        counts += np.bincount(own[own >= 0], minlength=values)
        after = own[1:][(own[1:] == own[:-1]) & (own[1:] >= 0)]
        following += np.bincount(after, minlength=values)
    found: NDArray[np.float64] = np.maximum(following / np.maximum(counts - 1.0, 1.0), counts / max(1, places[0].size))
    return np.minimum(found, 1.0)
