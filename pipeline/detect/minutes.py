"""Minutes: every watched signal minute by minute, of all records and of each version that serves beside another.

They are what a drift brings along, so that a new version can be held against the old one in the same minutes.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.block import PANE_MS
from pipeline.detect.finding import Finding
from pipeline.detect.layout import Layout
from pipeline.detect.profile import at_hour
from pipeline.detect.segment_sums import by_row
from pipeline.detect.statement import segment_name, six, value_at
from pipeline.detect.view import View
from schemas.baseline import SignalBaseline
from schemas.drift import SERIES_MAX, Series

MINUTE_MS = 60_000
MINUTES_KEPT = 30
BEFORE_MS = 10 * MINUTE_MS
"""How long before its start a drift's series begin."""

VERSIONS_MAX = 5
"""Versions of one kind that are told apart; where more serve at once, that kind is not."""

KINDS_MAX = 8
"""Kinds of versions that are told apart."""

Ring = dict[int, NDArray[np.float64]]
"""By minute, in order: of each signal the records that carry it, then of each signal the sum of its channel."""


class Minutes:
    """The last half hour of one unit. A rate has its own sum, a value that of its ranks.

    A kind of which one version serves needs no sums of its own: it is all records. From the moment on at which a second
    one shows up, until only one was seen for half an hour, each has its own.

    Parameters
    ----------
    layout
        The judge's.
    """

    def __init__(self, layout: Layout) -> None:
        self._places = {signal.name: place for place, signal in enumerate(layout.signals)}
        self._count = len(layout.signals)
        channels = [layout.column(signal, layout.usual_channel(signal)) for signal in layout.signals]
        self._columns = np.array([*range(self._count), *channels], dtype=np.intp)
        self._whole: Ring = {}
        self._only: dict[str, str] = {}
        self._split: dict[str, dict[str, Ring]] = {}

    def observe(self, view: View) -> None:
        """Take in a block."""
        panes = view.block.panes
        minutes = panes * PANE_MS // MINUTE_MS
        starts = np.concatenate([[0], np.flatnonzero(minutes[1:] != minutes[:-1]) + 1])
        ends = np.append(starts[1:], panes.size)
        if starts.size == 1:
            sums = view.grid.totals[-1:].take(self._columns, axis=1)
        else:
            sums = np.diff(view.grid.before(ends, self._columns), axis=0, prepend=0.0)
        own = list(zip(minutes[starts].tolist(), sums, strict=True))
        numbers: NDArray[np.float64] | None = None
        for kind, labels in list(view.block.versions.items())[:KINDS_MAX]:
            distinct = [label for label in dict.fromkeys(labels) if label is not None]
            if len(distinct) > VERSIONS_MAX or not self._is_split(kind, distinct):
                continue
            if len(distinct) == 1 and labels.count(distinct[0]) == len(labels):
                self._add(self._ring(kind, distinct[0]), own)
                continue
            numbers = by_row(view.grid, self._columns) if numbers is None else numbers
            is_of = np.array([[label == each for label in labels] for each in distinct], dtype=np.float64)
            for minute, start, end in zip(minutes[starts].tolist(), starts.tolist(), ends.tolist(), strict=True):
                for label, row in zip(distinct, is_of[:, start:end] @ numbers[start:end], strict=True):
                    self._add(self._ring(kind, label), [(minute, row)])
        self._add(self._whole, own)
        self._forget(int(minutes[-1]) - MINUTES_KEPT)

    def told(self, finding: Finding, learned: SignalBaseline) -> Finding:
        """A finding with its signal's series, from ten minutes before its start on."""
        place = self._places.get(finding.signal.name)
        minutes = [minute for minute in self._whole if (minute + 1) * MINUTE_MS > finding.started_at - BEFORE_MS]
        if place is None or not minutes:
            return finding
        every = range(minutes[0], minutes[-1] + 1)
        series = [self._series("", self._whole, every, place, learned)]
        for kind, rings in self._split.items():
            for label, ring in rings.items():
                if any(minute in ring for minute in every):
                    series.append(self._series(segment_name(kind, label), ring, every, place, learned))
        series += [
            Series(version=segment_name(kind, label), begins_at=minutes[0] * MINUTE_MS, records=[], means=[])
            for kind, label in self._only.items()
            if kind not in self._split
        ]
        return replace(finding, series=tuple(series[:SERIES_MAX]))

    def dump(self) -> dict[str, Any]:
        """The state: plain values and arrays."""
        rings = [("", "", self._whole)]
        rings += [(kind, label, ring) for kind, own in self._split.items() for label, ring in own.items()]
        return {
            "only": list(self._only.items()),
            "split": list(self._split),
            "rings": [
                [kind, label, list(ring), np.array(list(ring.values())).reshape(len(ring), self._columns.size)]
                for kind, label, ring in rings
            ],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave.

        Raises
        ------
        ValueError
            If it is of other signals.
        """
        self._only = dict(state["only"])
        self._split = {kind: {} for kind in state["split"]}
        for kind, label, minutes, sums in state["rings"]:
            if np.shape(sums)[1:] != (self._columns.size,):
                raise ValueError(f"kept minutes of shape {np.shape(sums)} do not fit {self._columns.size} sums")
            ring = {int(minute): np.array(row) for minute, row in zip(minutes, sums, strict=True)}
            if kind:
                self._split[kind][label] = ring
            else:
                self._whole = ring

    def _is_split(self, kind: str, distinct: Sequence[str]) -> bool:
        """Whether versions of a kind serve beside each other; from now on, if there is one that was not there before."""
        if kind in self._split or not distinct:
            return kind in self._split
        only = self._only.get(kind, distinct[0])
        if distinct == [only]:
            self._only[kind] = only
            return False
        # Until now all records were of the one.
        self._split[kind] = {only: {minute: sums.copy() for minute, sums in self._whole.items()}}
        return True

    def _ring(self, kind: str, label: str) -> Ring:
        rings = self._split[kind]
        if label not in rings:
            if len(rings) >= VERSIONS_MAX:
                del rings[min(rings, key=lambda each: max(rings[each], default=0))]
            rings[label] = {}
        return rings[label]

    def _add(self, ring: Ring, sums: Sequence[tuple[int, NDArray[np.float64]]]) -> None:
        for minute, row in sums:
            if minute in ring:
                ring[minute] = ring[minute] + row
            else:
                ring[minute] = row

    def _forget(self, before: int) -> None:
        """Drop the minutes before one, and the kinds of which one version is left."""
        rings = [self._whole, *(ring for own in self._split.values() for ring in own.values())]
        for ring in rings:
            while ring and next(iter(ring)) < before:
                del ring[next(iter(ring))]
        for kind, own in list(self._split.items()):
            for label in [label for label, ring in own.items() if not ring]:
                del own[label]
            if len(own) < 2:
                self._only[kind] = next(iter(own), self._only.get(kind, ""))
                del self._split[kind]

    def _series(self, version: str, ring: Ring, every: range, place: int, learned: SignalBaseline) -> Series:
        nothing = np.zeros(self._columns.size)
        sums = np.array([ring.get(minute, nothing) for minute in every])
        records, means = sums[:, place], sums[:, self._count + place] / np.maximum(sums[:, place], 1.0)
        values = [value_at(learned, mean) for mean in means.tolist()]
        return Series(
            version=version,
            begins_at=every[0] * MINUTE_MS,
            records=[int(count) for count in records],
            means=[six(mean) for mean in means.tolist()],
            values=[
                six(at_hour(learned.profile, value, minute * MINUTE_MS))
                for minute, value in zip(every, values, strict=True)
                if value is not None
            ],
        )
