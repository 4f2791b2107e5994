"""Minutes: every watched signal minute by minute, of all records and of each version that serves beside another.

They are what a drift brings along, so that a new version can be held against the old one in the same minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import hourly_profile
from pipeline.detect.findings.finding import Finding
from pipeline.detect.findings.statement import round_significant, segment_name, value_at_rank
from pipeline.detect.layout import BlockView, Layout, numbers_by_row
from pipeline.detect.signals import PANE_MS, label_indexes
from schemas.baseline import SignalBaseline
from schemas.drift import MINUTE_MS, SERIES_MAX, Series

MINUTES_KEPT = 30
BEFORE_MS = 10 * MINUTE_MS
"""How long before its start a drift's series begin."""

SHARE_MINUTES = 10
"""Minutes over which a version's share of the records is taken."""

VERSIONS_MAX = 5
"""Versions of one kind that are told apart; where more serve within half an hour, that kind is not."""

KINDS_MAX = 8
"""Kinds of versions that are told apart, those that came first."""

Ring = dict[int, NDArray[np.float64]]
"""By minute, in order: of each signal the records that carry it, then of each signal the sum of its channel."""


@dataclass(slots=True)
class VersionKind:
    """The versions of one kind.

    Attributes
    ----------
    only
        The version that every record carries, if it is one: then all records are its own, and it needs no ring.
    rings
        By version, otherwise.
    since, last
        The minute from which every record carries the version of the last, and that of the last record with any.
    crowded_until
        The minute until which its versions are too many to be told apart; 0 if they are not.
    """

    only: str | None = None
    rings: dict[str, Ring] = field(default_factory=dict)
    uniform: str | None = None
    since: int = 0
    last: int = 0
    crowded_until: int = 0


class MinuteSeries:
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
        self._kinds: dict[str, VersionKind] = {}

    def observe(self, view: BlockView) -> None:
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
        for name, labels in sorted(view.block.versions.items()):
            kind = self._kind(name, labels, own[0][0], own[-1][0])
            if kind is None:
                continue
            if kind.uniform is not None:
                _add(kind.rings.setdefault(kind.uniform, {}), own)
                continue
            numbers = numbers_by_row(view.grid, self._columns) if numbers is None else numbers
            places = label_indexes(labels, {label: place for place, label in enumerate(kind.rings)})
            is_of = (places == np.arange(len(kind.rings))[:, None]).astype(np.float64)
            for (minute, _), start, end in zip(own, starts.tolist(), ends.tolist(), strict=True):
                for ring, row in zip(kind.rings.values(), is_of[:, start:end] @ numbers[start:end], strict=True):
                    _add(ring, [(minute, row)])
        _add(self._whole, own)
        self._forget(own[-1][0] - MINUTES_KEPT)

    def series(self, finding: Finding, learned: SignalBaseline) -> Finding:
        """A finding with its signal's series, from ten minutes before its start on, as far as that is kept."""
        place = self._places.get(finding.signal.name)
        minutes = [minute for minute in self._whole if (minute + 1) * MINUTE_MS > finding.started_at - BEFORE_MS]
        if place is None or not minutes:
            return finding
        every = range(minutes[0], minutes[-1] + 1)
        series = [self._series("", self._whole, every, place, learned)]
        about = finding.segment.partition("=")[0]
        for name, kind in sorted(self._kinds.items(), key=lambda each: (each[0] != about, each[0])):
            if len(series) + max(1, len(kind.rings)) > SERIES_MAX:
                continue
            if kind.only is not None:
                version = segment_name(name, kind.only)
                series.append(Series(version=version, begins_at=minutes[0] * MINUTE_MS, records=[], means=[]))
            for label, ring in sorted(kind.rings.items()):
                if any(minute in ring for minute in every):
                    series.append(self._series(segment_name(name, label), ring, every, place, learned))
        return replace(finding, series=tuple(series))

    def traffic_share(self, finding: Finding, view: BlockView) -> float | None:
        """The share of the records of the last minutes that a finding's version has; None if its segment is no version.

        A version is young when it fails: of about the last hour it has next to nothing, however much it serves now. In its
        first minute, in the middle of which it came, the block ``view`` says it.
        """
        name, place = finding.segment.partition("=")[0], self._places.get(finding.signal.name)
        kind = self._kinds.get(name)
        if kind is None or place is None:
            return None
        if kind.only is not None:
            return 1.0 if segment_name(name, kind.only) == finding.segment else None
        label = next((each for each in kind.rings if segment_name(name, each) == finding.segment), None)
        if label is None:
            return None
        ring, labels = kind.rings[label], view.block.versions.get(name, ())
        if len(ring) == 1:
            return labels.count(label) / len(labels) if labels else None
        minutes = list(ring)[1:][-SHARE_MINUTES:]
        every = sum(self._whole[minute][place] for minute in minutes)
        return float(sum(ring[minute][place] for minute in minutes) / every) if every else None

    def dump(self) -> dict[str, Any]:
        """The state: plain values and arrays."""
        rings = [("", "", self._whole)]
        rings += [(name, label, ring) for name, kind in self._kinds.items() for label, ring in kind.rings.items()]
        return {
            "kinds": [
                [name, kind.only, kind.uniform, kind.since, kind.last, kind.crowded_until]
                for name, kind in self._kinds.items()
            ],
            "rings": [
                [name, label, list(ring), np.array(list(ring.values())).reshape(len(ring), self._columns.size)]
                for name, label, ring in rings
            ],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave.

        Raises
        ------
        ValueError
            If it is of other signals.
        """
        self._kinds = {
            name: VersionKind(only, {}, uniform, since, last, crowded_until)
            for name, only, uniform, since, last, crowded_until in state["kinds"]
        }
        for name, label, minutes, sums in state["rings"]:
            if np.shape(sums)[1:] != (self._columns.size,):
                raise ValueError(f"kept minutes of shape {np.shape(sums)} do not fit {self._columns.size} sums")
            ring = {int(minute): np.array(row) for minute, row in zip(minutes, sums, strict=True)}
            if name:
                self._kinds[name].rings[label] = ring
            else:
                self._whole = ring

    def _kind(self, name: str, labels: Sequence[str | None], first: int, last: int) -> VersionKind | None:
        """The kind of a block's labels, ready to take them; None if there is nothing to take."""
        distinct = [label for label in dict.fromkeys(labels) if label is not None]
        if not distinct or (name not in self._kinds and len(self._kinds) >= KINDS_MAX):
            return None
        is_uniform = len(distinct) == 1 and labels.count(distinct[0]) == len(labels)
        uniform = distinct[0] if is_uniform else None
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = VersionKind(only=uniform)
        span, kind.last = (kind.since, kind.last), last
        if kind.uniform != uniform or not kind.since:
            kind.uniform, kind.since = uniform, first
        if kind.crowded_until:
            return None
        if kind.only is not None:
            if kind.only == uniform:
                return None
            kind.rings = {
                kind.only: {minute: sums for minute, sums in self._whole.items() if span[0] <= minute <= span[1]}
            }
            kind.only = None
        for label in distinct:
            kind.rings.setdefault(label, {})
        if len(kind.rings) > VERSIONS_MAX:
            kind.rings, kind.crowded_until = {}, last + MINUTES_KEPT
            return None
        return kind

    def _forget(self, before: int) -> None:
        """Drop the minutes before one; a kind of which one version is left is all records again."""
        _drop(self._whole, before)
        for name, kind in list(self._kinds.items()):
            for label, ring in list(kind.rings.items()):
                _drop(ring, before)
                if not ring:
                    del kind.rings[label]
            if kind.crowded_until and kind.crowded_until < before + MINUTES_KEPT:
                kind.crowded_until = 0
            if len(kind.rings) == 1 and kind.uniform in kind.rings and kind.since < before:
                kind.only, kind.rings = kind.uniform, {}
            if kind.last < before:
                del self._kinds[name]

    def _series(self, version: str, ring: Ring, every: range, place: int, learned: SignalBaseline) -> Series:
        nothing = np.zeros(self._columns.size)
        sums = np.array([ring.get(minute, nothing) for minute in every])
        records, means = sums[:, place], sums[:, self._count + place] / np.maximum(sums[:, place], 1.0)
        values = [value_at_rank(learned, mean) for mean in means.tolist()]
        return Series(
            version=version,
            begins_at=every[0] * MINUTE_MS,
            records=[int(count) for count in records],
            means=[round_significant(mean) for mean in means.tolist()],
            values=[
                round_significant(hourly_profile.restore_hour(learned.profile, value, minute * MINUTE_MS))
                for minute, value in zip(every, values, strict=True)
                if value is not None
            ],
        )


def _add(ring: Ring, sums: Sequence[tuple[int, NDArray[np.float64]]]) -> None:
    for minute, row in sums:
        ring[minute] = ring[minute] + row if minute in ring else row


def _drop(ring: Ring, before: int) -> None:
    while ring and next(iter(ring)) < before:
        del ring[next(iter(ring))]
