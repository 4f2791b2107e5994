"""Tickets that recur at the same time of day, such as those of a nightly batch. From the third on, they are causes only."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pipeline.detect.findings import Finding
from pipeline.detect.settings import DAY_S

DAYS_MAX = 8
"""Number of days for which a ticket is remembered: a week, and a day more."""

TICKETS_MIN = 2
"""Number of earlier tickets at the same time of day from which a ticket is a recurring one."""

APART_MS_MAX = 3_600_000
"""Milliseconds by which the time of day of a recurring ticket may differ from that of an earlier one."""

DAY_MS = DAY_S * 1000


class _TicketKey(NamedTuple):
    signal: str
    channel: str
    side: str
    segment: str


class _Habit(NamedTuple):
    """What a nightly batch changes: location, shape and segments of a signal drift in turns, so they count together."""

    signal: str
    side: str


class RecurringTickets:
    """The times at which tickets of a stream fired in the last days, and the open drifts that are recurring.

    A change that comes at about the same time of day, and ends by itself, is a habit of the service: a nightly batch, a
    daily report. Two tickets have told it. The third has the tier ``cause``, so it can explain an incident but does not
    open one, and the hours in which it is open are part of the next baseline. Pages are never affected.
    """

    def __init__(self) -> None:
        self._fired_ms: dict[_Habit, list[int]] = {}
        self._open: set[_TicketKey] = set()

    @property
    def open_signals(self) -> Counter[str]:
        """Names of the signals with an open drift that is recurring, with the number of drifts."""
        return Counter(key.signal for key in self._open)

    def publish(self, finding: Finding) -> Finding:
        """Return a finding as it is published: one of a recurring ticket gets the tier ``cause`` until it recovers."""
        if finding.tier != "ticket":
            return finding
        key = _TicketKey(finding.signal.name, finding.channel, finding.side, finding.segment)
        if finding.state == "firing" and self._record(_Habit(key.signal, key.side), finding.detected_at):
            self._open.add(key)
        if key not in self._open:
            return finding
        if finding.state == "recovered":
            self._open.discard(key)
            return replace(finding, tier="cause")
        told = finding.sentence.replace("; ticket", "; no ticket, because it recurs at this time of day", 1)
        return replace(finding, tier="cause", sentence=told)

    def dump(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {
            "fired": [[list(key), list(times)] for key, times in self._fired_ms.items()],
            "open": sorted(list(key) for key in self._open),
        }

    def load(self, state: dict[str, Sequence[Any]]) -> None:
        """Restore the state that :meth:`dump` returned."""
        self._fired_ms = {_Habit(*key): list(times) for key, times in state.get("fired", ())}
        self._open = {_TicketKey(*key) for key in state.get("open", ())}

    def _record(self, habit: _Habit, time_ms: int) -> bool:
        """Record a firing at an event time in Unix milliseconds. Return whether it is recurring."""
        oldest_ms = time_ms - DAYS_MAX * DAY_MS
        kept = {other: [at for at in times if at >= oldest_ms] for other, times in self._fired_ms.items()}
        self._fired_ms = {other: times for other, times in kept.items() if times}
        times = self._fired_ms.setdefault(habit, [])
        # Several tickets of one day are one.
        days = {round((time_ms - at) / DAY_MS) for at in times if _is_same_time_of_day(time_ms, at)}
        if not any(_is_same_time_of_day(time_ms, at) and time_ms - at < DAY_MS / 2 for at in times):
            times.append(time_ms)
        return len(days - {0}) >= TICKETS_MIN


def _is_same_time_of_day(time_ms: int, other_ms: int) -> bool:
    apart_ms = abs(time_ms - other_ms) % DAY_MS
    return min(apart_ms, DAY_MS - apart_ms) <= APART_MS_MAX
