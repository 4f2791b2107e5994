"""Minutes: one drift's signal over time, from its series where the messages have them, else from the messages alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.correlate.version_split import MINUTES_MIN
from schemas.drift import Drift, Series

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a picture: times in Unix ms, values in the signal's unit, NaN where a minute had no records.

    ``name`` is a version (``prompt=v42``), or empty for all records; ``by_minute`` is False where each value is what a
    message said of all the time since the start.
    """

    name: str
    times: tuple[int, ...]
    values: tuple[float, ...]
    by_minute: bool = True


@dataclass(frozen=True, slots=True)
class Hit:
    """Records that carried a rate's signal since its start: how many, how many had it, how many would be normal."""

    begins_at: int
    ends_at: int
    records: int
    had: float
    normal: float


def lines(messages: Sequence[Drift]) -> list[Line]:
    """The lines of one drift, all records first, then versions of a kind of which several served at the same time.

    Parameters
    ----------
    messages
        Its states, the oldest first; none gives no line.
    """
    if not messages:
        return []
    series = newest_series(messages)
    drift = messages[-1]
    beside = [each for each in series if not each.version or _is_beside_another(each, series)]
    by_minute = [line for each in beside if (line := _line(each, drift)) is not None]
    if by_minute:
        return sorted(by_minute, key=lambda line: line.name)
    if drift.channel in ("silence", "first_seen"):
        return []
    times = (drift.started_at, *(each.updated_at for each in messages))
    return [Line("", times, (drift.normal, *(each.now for each in messages)), by_minute=False)]


def newest_series(messages: Sequence[Drift]) -> list[Series]:
    """The series of the newest message that has some."""
    return next((each.series for each in reversed(messages) if each.series), [])


def worst(messages: Sequence[Drift]) -> Drift | None:
    """The state furthest from normal, of those before the recovery; None without any."""
    off = [each for each in messages if each.state != "recovered"]
    return max(off, key=lambda each: abs(each.now - each.normal), default=None)


def hit(messages: Sequence[Drift]) -> Hit | None:
    """How many records a rate's drift hit: by minute from its series, else by its last message before the recovery."""
    if not messages or messages[-1].channel != "rate":
        return None
    drift = messages[-1]
    ends_at = drift.updated_at
    whole = next((each for each in newest_series(messages) if not each.version), None)
    if whole is not None:
        minutes = [
            (records, mean)
            for place, (records, mean) in enumerate(zip(whole.records, whole.means, strict=False))
            if drift.started_at < whole.begins_at + (place + 1) * MINUTE_MS
            and whole.begins_at + place * MINUTE_MS < ends_at
        ]
        records = sum(records for records, _ in minutes)
        had = math.fsum(records * mean for records, mean in minutes)
        covered = min(ends_at, whole.begins_at + len(whole.records) * MINUTE_MS)
        return Hit(drift.started_at, covered, records, had, records * drift.normal) if records else None
    last = next((each for each in reversed(messages) if each.state != "recovered"), None)
    if last is None or not last.records:
        return None
    return Hit(last.started_at, last.updated_at, last.records, last.records * last.now, last.records * last.normal)


def _is_beside_another(version: Series, series: Sequence[Series]) -> bool:
    """Whether another version of its kind served in several of the same minutes: one that took over from it did not."""
    kind = version.version.partition("=")[0]
    others = [each for each in series if each.version.partition("=")[0] == kind and each is not version]
    return any(
        sum(bool(mine and its) for mine, its in zip(version.records, each.records, strict=False)) >= MINUTES_MIN
        for each in others
    )


def _line(series: Series, drift: Drift) -> Line | None:
    """A series in the signal's unit; of a silence the records themselves. None where it does not say them."""
    if drift.channel == "silence":
        values: list[float] = [float(each) for each in series.records]
    elif drift.channel == "rate":
        values = series.means
    else:
        values = series.values
    minutes = list(zip(series.records, values, strict=False))
    shown = [value if records or drift.channel == "silence" else math.nan for records, value in minutes]
    if all(math.isnan(value) for value in shown):
        return None
    times = tuple(series.begins_at + place * MINUTE_MS + MINUTE_MS // 2 for place in range(len(shown)))
    return Line(series.version, times, tuple(shown))
