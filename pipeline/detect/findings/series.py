"""Minute series of every monitored signal, over all records and for each version that serves alongside others.

A drift message contains them to compare a new version with the old version over the same minutes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import hourly_profile
from pipeline.detect.findings.baseline_values import value_at_rank
from pipeline.detect.findings.finding import Finding, round_significant
from pipeline.detect.layout import BlockView, GridLayout
from pipeline.detect.shared_values import share_array
from pipeline.detect.signals import PANE_MS, label_indexes
from schemas.baseline import SignalBaseline
from schemas.drift import MINUTE_MS, SERIES_MAX, Series

MINUTES_STORED = 30
"""Number of minutes for which sums are stored."""

LEAD_MS = 10 * MINUTE_MS
"""Milliseconds before the start of a drift at which its series begin."""

SHARE_MINUTES = 10
"""Number of minutes over which the traffic share of a version is computed."""

VERSIONS_MAX = 5
"""Maximum number of versions with series per kind. A kind with more versions within half an hour has no series."""

KINDS_MAX = 8
"""Maximum number of kinds of versions with series. Kinds that appear later have no series."""

MinuteSums = dict[int, NDArray[np.float64]]
"""Sums by minute, in order: the number of records with each signal, then the sum of each signal's channel."""


@dataclass(slots=True)
class VersionKind:
    """The versions of one kind.

    Attributes
    ----------
    sole_version
        The version that every record carries, if there is only one version. Its sums equal the sums of all records.
    sums
        Sums by version, if there are several versions.
    uniform_version
        The version that every record of the last block carries, or None if the records differ.
    uniform_since
        First minute with the current value of ``uniform_version``.
    last_minute
        Minute of the last record with any version of this kind.
    crowded_until
        Last minute in which the kind has too many versions, or 0 if their number is within the limit.
    """

    sole_version: str | None = None
    sums: dict[str, MinuteSums] = field(default_factory=dict)
    uniform_version: str | None = None
    uniform_since: int = 0
    last_minute: int = 0
    crowded_until: int = 0


class MinuteSeries:
    """Sums per minute over the last half hour of a stream: sums of rates, and sums of the ranks of values.

    A kind with one version shares the sums of all records. When a second version appears, every version gets separate
    sums, until there has been only one version for half an hour.

    Parameters
    ----------
    layout
        The layout of the monitor.
    """

    def __init__(self, layout: GridLayout) -> None:
        self._indexes = layout.indexes
        self._count = len(layout.signals)
        channels = [layout.channel_column(signal, layout.main_channel(signal)) for signal in layout.signals]
        self._columns = share_array(np.array([*range(self._count), *channels], dtype=np.intp))
        self._all_records: MinuteSums = {}
        self._kinds: dict[str, VersionKind] = {}

    def observe(self, view: BlockView) -> None:
        """Add the records of a block."""
        panes = view.block.panes
        minutes = panes * PANE_MS // MINUTE_MS
        starts = np.concatenate([[0], np.flatnonzero(minutes[1:] != minutes[:-1]) + 1])
        ends = np.append(starts[1:], panes.size)
        if starts.size == 1:
            sums = view.grid.prefix_sums[-1:].take(self._columns, axis=1)
        else:
            sums = np.diff(view.grid.sums_before(ends, self._columns), axis=0, prepend=0.0)
        by_minute = list(zip(minutes[starts].tolist(), sums, strict=True))
        first_minute, last_minute = by_minute[0][0], by_minute[-1][0]
        numbers: NDArray[np.float64] | None = None
        for name, labels in sorted(view.block.versions.items()):
            kind = self._find_kind(name, labels, first_minute, last_minute)
            if kind is None:
                continue
            if kind.uniform_version is not None:
                _add(kind.sums.setdefault(kind.uniform_version, {}), by_minute)
                continue
            numbers = view.grid.numbers_by_row(self._columns) if numbers is None else numbers
            versions = label_indexes(labels, {label: index for index, label in enumerate(kind.sums)})
            has_version = (versions == np.arange(len(kind.sums))[:, None]).astype(np.float64)
            for (minute, _), start, end in zip(by_minute, starts.tolist(), ends.tolist(), strict=True):
                version_rows = has_version[:, start:end] @ numbers[start:end]
                for version_sums, row in zip(kind.sums.values(), version_rows, strict=True):
                    _add(version_sums, [(minute, row)])
        _add(self._all_records, by_minute)
        self._drop_before(last_minute - MINUTES_STORED)

    def add_minute(self, minute: int, sums: NDArray[np.float64], versions: Mapping[str, set[str | None]]) -> bool:
        """Add a block within one minute. Return False if it may change which versions are live.

        Parameters
        ----------
        sums
            Shape ``(2 * signals,)``: the sums of the presence and of the main channel of each signal.
        versions
            The labels of the block, by kind.
        """
        kinds = self._kinds
        for name, labels in versions.items():
            kind = kinds.get(name)
            if (
                kind is None
                or kind.sole_version is None
                or kind.crowded_until
                or kind.uniform_version != kind.sole_version
                or not kind.uniform_since
                or len(labels) != 1
                or kind.sole_version not in labels
            ):
                return False
        for name in versions:
            kinds[name].last_minute = minute
        stored = self._all_records
        stored[minute] = stored[minute] + sums if minute in stored else sums
        self._drop_before(minute - MINUTES_STORED)
        return True

    def attach_series(self, finding: Finding, learned: SignalBaseline) -> Finding:
        """Return the finding with the series of its signal, which begin up to ten minutes before its start.

        A change of shape has no series, because means per minute do not show it.
        """
        index = None if finding.channel == "shape" else self._indexes.get(finding.signal.name)
        stored = [minute for minute in self._all_records if (minute + 1) * MINUTE_MS > finding.started_at - LEAD_MS]
        if index is None or not stored:
            return finding
        minutes = range(stored[0], stored[-1] + 1)
        series = [self._build_series("", self._all_records, minutes, index, learned)]
        dimension = finding.segment.partition("=")[0]
        for name, kind in sorted(self._kinds.items(), key=lambda item: (item[0] != dimension, item[0])):
            if len(series) + max(1, len(kind.sums)) > SERIES_MAX:
                continue
            if kind.sole_version is not None:
                version = Finding.segment_name(name, kind.sole_version)
                series.append(Series(version=version, begins_at=minutes[0] * MINUTE_MS, records=[], means=[]))
            for label, sums in sorted(kind.sums.items()):
                if any(minute in sums for minute in minutes):
                    series.append(self._build_series(Finding.segment_name(name, label), sums, minutes, index, learned))
        return replace(finding, series=tuple(series))

    def sum_since(self, index: int, first_minute: int) -> tuple[float, float]:
        """Return the number of records with a signal since a minute, and the sum of its channel over them."""
        rows = [row for minute, row in self._all_records.items() if minute >= first_minute]
        return float(sum(row[index] for row in rows)), float(sum(row[self._count + index] for row in rows))

    def traffic_share(self, finding: Finding, view: BlockView) -> float | None:
        """Return the share of recent records that carry a finding's version, or None if its segment is not a version.

        The share covers ten minutes, not the last hour, because a failing version is often so new that it has few
        records in an hour. During the first minute of a version, which is incomplete, the share is computed from the
        block ``view``.
        """
        name, index = finding.segment.partition("=")[0], self._indexes.get(finding.signal.name)
        kind = self._kinds.get(name)
        if kind is None or index is None:
            return None
        if kind.sole_version is not None:
            return 1.0 if Finding.segment_name(name, kind.sole_version) == finding.segment else None
        label = next((label for label in kind.sums if Finding.segment_name(name, label) == finding.segment), None)
        if label is None:
            return None
        sums, labels = kind.sums[label], view.block.versions.get(name, ())
        if len(sums) == 1:
            return labels.count(label) / len(labels) if labels else None
        minutes = list(sums)[1:][-SHARE_MINUTES:]
        total = sum(self._all_records[minute][index] for minute in minutes)
        return float(sum(sums[minute][index] for minute in minutes) / total) if total else None

    def dump(self) -> dict[str, Any]:
        """Return the state: plain values and arrays."""
        all_sums = [("", "", self._all_records)]
        all_sums += [(name, label, sums) for name, kind in self._kinds.items() for label, sums in kind.sums.items()]
        return {
            "signals": list(self._indexes),
            "kinds": [
                [
                    name,
                    kind.sole_version,
                    kind.uniform_version,
                    kind.uniform_since,
                    kind.last_minute,
                    kind.crowded_until,
                ]
                for name, kind in self._kinds.items()
            ],
            "sums": [
                [name, label, list(sums), np.array(list(sums.values())).reshape(len(sums), self._columns.size)]
                for name, label, sums in all_sums
            ],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned. Signals that it does not contain begin with this minute."""
        stored = {name: index for index, name in enumerate(state["signals"])}
        known = [(index, stored[name]) for name, index in self._indexes.items() if name in stored]
        columns = [index + half * self._count for half in range(2) for index, _ in known]
        sources = [index + half * len(stored) for half in range(2) for _, index in known]
        self._kinds = {name: VersionKind(sole_version, {}, *rest) for name, sole_version, *rest in state["kinds"]}
        for name, label, minutes, rows in state["sums"]:
            known_rows = np.zeros((len(minutes), self._columns.size))
            known_rows[:, columns] = np.reshape(rows, (len(minutes), 2 * len(stored)))[:, sources]
            sums = {int(minute): row.copy() for minute, row in zip(minutes, known_rows, strict=True)}
            if name:
                self._kinds[name].sums[label] = sums
            else:
                self._all_records = sums

    def _find_kind(self, name: str, labels: Sequence[str | None], first: int, last: int) -> VersionKind | None:
        """Return the kind to which the labels of a block are added, or None if there is nothing to add."""
        distinct = [label for label in dict.fromkeys(labels) if label is not None]
        if not distinct or (name not in self._kinds and len(self._kinds) >= KINDS_MAX):
            return None
        is_uniform = len(distinct) == 1 and labels.count(distinct[0]) == len(labels)
        uniform_version = distinct[0] if is_uniform else None
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = VersionKind(sole_version=uniform_version)
        span, kind.last_minute = (kind.uniform_since, kind.last_minute), last
        if kind.uniform_version != uniform_version or not kind.uniform_since:
            kind.uniform_version, kind.uniform_since = uniform_version, first
        if kind.crowded_until:
            return None
        if kind.sole_version is not None:
            if kind.sole_version == uniform_version:
                return None
            kind.sums = {
                kind.sole_version: {
                    minute: row for minute, row in self._all_records.items() if span[0] <= minute <= span[1]
                }
            }
            kind.sole_version = None
        for label in distinct:
            kind.sums.setdefault(label, {})
        if len(kind.sums) > VERSIONS_MAX:
            kind.sums, kind.crowded_until = {}, last + MINUTES_STORED
            return None
        return kind

    def _drop_before(self, first: int) -> None:
        """Drop the minutes before ``first``. A kind with one version left shares the sums of all records again."""
        _drop_before(self._all_records, first)
        for name, kind in list(self._kinds.items()):
            for label, sums in list(kind.sums.items()):
                _drop_before(sums, first)
                if not sums:
                    del kind.sums[label]
            if kind.crowded_until and kind.crowded_until < first + MINUTES_STORED:
                kind.crowded_until = 0
            if len(kind.sums) == 1 and kind.uniform_version in kind.sums and kind.uniform_since < first:
                kind.sole_version, kind.sums = kind.uniform_version, {}
            if kind.last_minute < first:
                del self._kinds[name]

    def _build_series(
        self, version: str, sums: MinuteSums, minutes: range, index: int, learned: SignalBaseline
    ) -> Series:
        no_records = np.zeros(self._columns.size)
        rows = np.array([sums.get(minute, no_records) for minute in minutes])
        records, means = rows[:, index], rows[:, self._count + index] / np.maximum(rows[:, index], 1.0)
        values = [value_at_rank(learned, mean) for mean in means.tolist()]
        return Series(
            version=version,
            begins_at=minutes[0] * MINUTE_MS,
            records=[int(count) for count in records],
            means=[round_significant(mean) for mean in means.tolist()],
            values=[
                round_significant(hourly_profile.restore_hour(learned.profile, value, minute * MINUTE_MS))
                for minute, value in zip(minutes, values, strict=True)
                if value is not None
            ],
        )


def _add(sums: MinuteSums, by_minute: Sequence[tuple[int, NDArray[np.float64]]]) -> None:
    for minute, row in by_minute:
        sums[minute] = sums[minute] + row if minute in sums else row


def _drop_before(sums: MinuteSums, first: int) -> None:
    while sums and next(iter(sums)) < first:
        del sums[next(iter(sums))]
