"""The history of one drift: its worst state, its values over time, and the number of affected records."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.correlate.causes import serve_together
from schemas.drift import MINUTE_MS, Drift


@dataclass(frozen=True, slots=True)
class DriftLine:
    """Line of a chart, with times in Unix ms and values in the signal's unit. NaN marks a minute without records.

    ``version`` is a version such as ``prompt=v42``, or empty for all records. ``is_by_minute`` is False if the values
    come from messages. Each message covers the time since the start.
    """

    version: str
    times: tuple[int, ...]
    values: tuple[float, ...]
    is_by_minute: bool = True


@dataclass(frozen=True, slots=True)
class VersionSeries:
    """Series of one version over all minutes of a drift. The fields are those of ``schemas.drift.Series``."""

    version: str
    begins_at: int
    records: tuple[int, ...]
    means: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class AffectedRecords:
    """Record counts for a rate.

    ``affected`` is the number of records for which the signal was true, and ``expected`` is the normal number.
    """

    begins_at: int
    ends_at: int
    records: int
    affected: float
    expected: float


@dataclass(frozen=True, slots=True)
class DriftHistory:
    """The messages of one drift, oldest first. The list may be empty."""

    messages: tuple[Drift, ...]

    @property
    def recovered_at(self) -> int | None:
        """Time of the latest recovery, or None if there is none."""
        return next((drift.updated_at for drift in reversed(self.messages) if drift.state == "recovered"), None)

    @property
    def worst(self) -> Drift | None:
        """The state furthest from normal, excluding recoveries, or None if there is no such state."""
        off = [drift for drift in self.messages if drift.state != "recovered"]
        return max(off, key=lambda drift: abs(drift.now - drift.normal), default=None)

    @property
    def series(self) -> list[VersionSeries]:
        """The merged series of all messages, by version. A single message covers at most half an hour.

        If several messages contain a minute, the newest message is used, because the minute was incomplete in older
        messages. A minute that is missing from all messages is treated as having no records.
        """
        known: dict[str, dict[int, tuple[int, float, float | None]]] = {}
        for drift in self.messages:
            for series in drift.series:
                values: Sequence[float | None] = series.values or [None] * len(series.records)
                for index, minute in enumerate(zip(series.records, series.means, values, strict=False)):
                    known.setdefault(series.version, {})[series.begins_at + index * MINUTE_MS] = minute
        times = [at for minutes in known.values() for at in minutes]
        if not times:
            return []
        every_minute = range(min(times), max(times) + 1, MINUTE_MS)
        merged = []
        for version, minutes in known.items():
            rows = [minutes.get(at, (0, 0.0, None)) for at in every_minute]
            has_values = any(value is not None for _, _, value in rows)
            known_values = tuple(value or 0.0 for _, _, value in rows) if has_values else ()
            records, means = tuple(row[0] for row in rows), tuple(row[1] for row in rows)
            merged.append(VersionSeries(version, every_minute[0], records, means, known_values))
        return merged

    @property
    def lines(self) -> list[DriftLine]:
        """The lines to draw: all records first, then versions that served at the same time as others of their kind."""
        if not self.messages:
            return []
        every_series = self.series
        drift = self.messages[-1]
        shown = [
            series for series in every_series if not series.version or _served_beside_another(series, every_series)
        ]
        by_minute = [line for series in shown if (line := _build_line(series, drift)) is not None]
        if by_minute:
            return sorted(by_minute, key=lambda line: line.version)
        if drift.channel in ("silence", "first_seen"):
            return []
        times = (drift.started_at, *(message.updated_at for message in self.messages))
        values = (drift.normal, *(message.now for message in self.messages))
        return [DriftLine("", times, values, is_by_minute=False)]

    def affected_records(self) -> AffectedRecords | None:
        """Count the records affected by a drift of a rate.

        The count comes from the series of the drift, or from its last message if it has no series. Return None if
        the signal is not a rate, or if no message contains a number of records.
        """
        if not self.messages or self.messages[-1].channel != "rate":
            return None
        drift = self.messages[-1]
        ends_at = drift.updated_at
        full = next((series for series in self.series if not series.version), None)
        reported = max((message.records for message in self.messages), default=0)
        if full is not None:
            minutes = [
                (records, mean)
                for index, (records, mean) in enumerate(zip(full.records, full.means, strict=False))
                if drift.started_at < full.begins_at + (index + 1) * MINUTE_MS
                and full.begins_at + index * MINUTE_MS < ends_at
            ]
            records = sum(records for records, _ in minutes)
            affected = math.fsum(records * mean for records, mean in minutes)
            if records:
                # Between two messages more than half an hour apart, only the number of records is known.
                total = max(records, reported)
                return AffectedRecords(
                    drift.started_at, ends_at, total, affected / records * total, total * drift.normal
                )
        last = next((message for message in reversed(self.messages) if message.state != "recovered"), None)
        if last is None or not last.records:
            return None
        return AffectedRecords(
            last.started_at, last.updated_at, last.records, last.records * last.now, last.records * last.normal
        )


def _served_beside_another(series: VersionSeries, every_series: Sequence[VersionSeries]) -> bool:
    """Return whether another version of the same kind served in several of the same minutes."""
    kind = series.version.partition("=")[0]
    others = [other for other in every_series if other.version.partition("=")[0] == kind and other is not series]
    return any(serve_together(series.records, other.records) for other in others)


def _build_line(series: VersionSeries, drift: Drift) -> DriftLine | None:
    """Return a series in the signal's unit, or record counts for a silence. Return None if there are no such values."""
    if drift.channel == "silence":
        values: Sequence[float] = [float(records) for records in series.records]
    elif drift.channel == "rate":
        values = series.means
    else:
        values = series.values
    minutes = list(zip(series.records, values, strict=False))
    shown = [value if records or drift.channel == "silence" else math.nan for records, value in minutes]
    if all(math.isnan(value) for value in shown):
        return None
    times = tuple(series.begins_at + index * MINUTE_MS + MINUTE_MS // 2 for index in range(len(shown)))
    return DriftLine(series.version, times, tuple(shown))
