"""Minutes: one drift's signal over time, from its series where the messages have them, else from the messages alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.correlate.causes import serve_together
from schemas.drift import MINUTE_MS, Drift


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
class Course:
    """A version's minutes over the whole of a drift, with the meanings of ``schemas.drift.Series``."""

    version: str
    begins_at: int
    records: tuple[int, ...]
    means: tuple[float, ...]
    values: tuple[float, ...]


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
    series = courses(messages)
    drift = messages[-1]
    beside = [each for each in series if not each.version or _is_beside_another(each, series)]
    by_minute = [line for each in beside if (line := _line(each, drift)) is not None]
    if by_minute:
        return sorted(by_minute, key=lambda line: line.name)
    if drift.channel in ("silence", "first_seen"):
        return []
    times = (drift.started_at, *(each.updated_at for each in messages))
    return [Line("", times, (drift.normal, *(each.now for each in messages)), by_minute=False)]


def courses(messages: Sequence[Drift]) -> list[Course]:
    """The series of all messages put together, by version; each message holds half an hour at most.

    Of a minute that several tell of, the newest counts: in an older one it was not over. Minutes between, of which none
    tells, have no records.
    """
    known: dict[str, dict[int, tuple[int, float, float | None]]] = {}
    for drift in messages:
        for series in drift.series:
            values: Sequence[float | None] = series.values or [None] * len(series.records)
            for place, each in enumerate(zip(series.records, series.means, values, strict=False)):
                known.setdefault(series.version, {})[series.begins_at + place * MINUTE_MS] = each
    times = [at for minutes in known.values() for at in minutes]
    if not times:
        return []
    every = range(min(times), max(times) + 1, MINUTE_MS)
    found = []
    for version, minutes in known.items():
        rows = [minutes.get(at, (0, 0.0, None)) for at in every]
        has_values = any(value is not None for _, _, value in rows)
        known_values = tuple(value or 0.0 for _, _, value in rows) if has_values else ()
        found.append(
            Course(version, every[0], tuple(row[0] for row in rows), tuple(row[1] for row in rows), known_values)
        )  # fmt: skip
    return found


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
    whole = next((each for each in courses(messages) if not each.version), None)
    told = max((each.records for each in messages), default=0)
    if whole is not None:
        minutes = [
            (records, mean)
            for place, (records, mean) in enumerate(zip(whole.records, whole.means, strict=False))
            if drift.started_at < whole.begins_at + (place + 1) * MINUTE_MS
            and whole.begins_at + place * MINUTE_MS < ends_at
        ]
        records = sum(records for records, _ in minutes)
        had = math.fsum(records * mean for records, mean in minutes)
        if records:
            # Of what lies between two messages more than half an hour apart only the number of records is known.
            every = max(records, told)
            return Hit(drift.started_at, ends_at, every, had / records * every, every * drift.normal)
    last = next((each for each in reversed(messages) if each.state != "recovered"), None)
    if last is None or not last.records:
        return None
    return Hit(last.started_at, last.updated_at, last.records, last.records * last.now, last.records * last.normal)


def _is_beside_another(version: Course, series: Sequence[Course]) -> bool:
    """Whether another version of its kind served in several of the same minutes: one that took over from it did not."""
    kind = version.version.partition("=")[0]
    others = [each for each in series if each.version.partition("=")[0] == kind and each is not version]
    return any(serve_together(version.records, each.records) for each in others)


def _line(series: Course, drift: Drift) -> Line | None:
    """A series in the signal's unit; of a silence the records themselves. None where it does not say them."""
    if drift.channel == "silence":
        values: Sequence[float] = [float(each) for each in series.records]
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
