"""The times at which a route sends nothing: its mute times, and those outside its active times."""

import math

from pipeline.route import reasons
from pipeline.route.reasons import Reason
from pipeline.route.settings import RouteSettings
from pipeline.route.time_intervals import TimeInterval, find_interval

MINUTE_MS = 60_000
"""Time intervals begin and end at full minutes, in every time zone."""


class ClosedTimes:
    """The mute times and active times of all routes."""

    def __init__(self, settings: RouteSettings) -> None:
        self._routes = {route.name: route for route in settings.all_routes()}
        self._has_times = any(route.mute_times or route.active_times for route in self._routes.values())
        self._intervals = {
            name: TimeInterval.from_settings(interval) for name, interval in settings.time_intervals.items()
        }

    def find(self, name: str, at: int) -> Reason | None:
        """Return the reason why a route sends nothing at a time (Unix ms), or None if it sends notifications then.

        The default route and a route that was removed from the settings always send.
        """
        route = self._routes.get(name)
        if route is None:
            return None
        if route.active_times and find_interval(self._intervals, route.active_times, at) is None:
            return reasons.outside_active_times(route.active_times)
        interval = find_interval(self._intervals, route.mute_times, at)
        return None if interval is None else reasons.mute_time(interval)

    def next_change(self, at: int) -> float:
        """Return a time after a time (Unix ms), before which no closed time begins or ends, or infinity."""
        return (at // MINUTE_MS + 1) * MINUTE_MS if self._has_times else math.inf
