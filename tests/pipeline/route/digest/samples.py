"""The times of digests by a plain reference, which reads the clock of a time zone step by step."""

from datetime import datetime, timedelta
from datetime import time as day_time
from functools import lru_cache
from zoneinfo import ZoneInfo

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
STEP_MS = 15 * 60_000
"""All digests of the tests, and all changes of their clocks, are at multiples of this."""


def ms(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@lru_cache
def due_times(location, time, weekdays, first, last):
    """Return the due times (Unix ms) by local day, from ``first`` to ``last`` (Unix ms)."""
    zone, due, before = ZoneInfo(location), {}, None
    for at in range(first - first % STEP_MS, last, STEP_MS):
        local = datetime.fromtimestamp(at / 1000, zone).replace(tzinfo=None)
        for day in {local.date(), local.date() - timedelta(1)}:
            wanted = datetime.combine(day, day_time.fromisoformat(time))
            if before is not None and day not in due and before < wanted <= local:
                # Where the clock skips the time, it is counted from the last time before the change.
                skipped_at = at - STEP_MS + (wanted - before) // timedelta(milliseconds=1)
                due[day] = at if wanted == local else skipped_at
        before = local
    return {day: at for day, at in due.items() if at < last and (not weekdays or WEEKDAYS[day.weekday()] in weekdays)}
