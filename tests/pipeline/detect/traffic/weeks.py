"""Weeks of simulated requests per minute, and the silences that a baseline finds in them when it is renewed every day.

The constants of the rule were chosen with seeds below 100. Tests use the seeds of ``minutes``, written down before.
"""

from typing import NamedTuple

import numpy as np

from pipeline.detect.findings.silence_rule import SilenceRule
from pipeline.detect.settings import DetectSettings
from pipeline.detect.traffic import RequestHours, RequestWindows
from schemas.drift import MINUTE_MS
from tests.pipeline.detect.traffic.minutes import DAY, baseline_with, draw, minute_requests, office_hours

WEEK = 7 * DAY
MONDAY = 20_787 * DAY
"""The minute in which 2026-11-30 begins, a Monday."""

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class FoundSilence(NamedTuple):
    """A silence as day and hour of its start, with the week, and of its ticket and page, or None."""

    began: tuple[str, float, int]
    ticket: tuple[str, float, int] | None
    page: tuple[str, float, int] | None


def clock(minute):
    """Return the day, the hour and the week of a minute."""
    week, of_week = divmod(minute - MONDAY, WEEK)
    return DAYS[of_week // DAY], of_week % DAY / 60, week


def first_of(day):
    """Return the minute in which a day of the first week begins."""
    return MONDAY + DAYS.index(day) * DAY


def office(day, per_minute, seed, weeks=5, *, weekend=0.0):
    """Return the requests of an assistant that is used in office hours, from the start of a day on."""
    start = first_of(day)
    means = office_hours(weeks * WEEK, per_minute, start, weekend=weekend)
    return draw(np.random.default_rng(seed), means, 3.0 if per_minute > 5 else 1.0)


def without(counts, from_day, day, week, from_hour, hours):
    """Return counts without the requests of some hours, which begin in a week since the first Monday."""
    begin = first_of(day) + week * WEEK + round(60 * from_hour) - first_of(from_day)
    assert begin >= 0
    counts = counts.copy()
    counts[begin : begin + round(60 * hours)] = 0
    return counts


def find_silences(counts, from_day, *, learn_days=1):
    """Learn from the first days, renew every day after two, and return the silences that were found."""
    settings, windows, hours = DetectSettings(), RequestWindows(), RequestHours()
    minutes = minute_requests(counts, first_of(from_day))
    minutes = minutes if minutes[0].requests else minutes[1:]
    baseline = rule = day = None
    longest, found = 0, []
    for one in minutes:
        last_ms = (one.minute + 1) * MINUTE_MS - 1
        if rule is None:
            windows.add([one])
            hours.add([one], is_excluded=True)
            longest = max(longest, one.empty_after)
            traffic = windows.learn() if one.minute - minutes[0].minute >= learn_days * DAY else None
            if traffic is not None:
                baseline = baseline_with(traffic).model_copy(update={"longest_gap_s": 60.0 * longest})
                rule, day = SilenceRule.from_baseline(baseline, settings), one.minute // DAY
            continue
        if one.minute // DAY != day and one.minute - minutes[0].minute > 2 * DAY:
            day = one.minute // DAY
            traffic = baseline.traffic.model_copy(update=hours.merge(baseline.traffic))
            hours.clear()
            baseline = baseline.model_copy(update={"traffic": traffic})
            rule = SilenceRule.from_baseline(baseline, settings)
        due, is_paged = None, False
        if (one.empty_after + 1) * 60 >= rule.least_s:
            recent = hours.recent_requests(one.minute) + one.requests
            due = rule.find_due(last_ms, last_ms, recent)
            is_paged = rule.pages(last_ms, recent, last_ms + one.empty_after * MINUTE_MS)
        hours.add([one], pages=lambda *_: is_paged)  # noqa: B023 - called at once
        end_ms = last_ms + one.empty_after * MINUTE_MS
        if due is not None and due.first_ms <= end_ms:
            ticket = None if due.ticket_ms is None else clock(due.ticket_ms // MINUTE_MS)
            page = clock(due.page_ms // MINUTE_MS) if due.page_ms <= end_ms else None
            found.append(FoundSilence(clock(one.minute), ticket, page))
    assert rule is not None
    return found
