"""Traffic: the requests per minute of a stream, how many are normal at each hour, and when it pauses.

This package may import signals.
"""

from pipeline.detect.traffic.request_counts import MinuteRequests, RequestCounts
from pipeline.detect.traffic.request_hours import RequestHours
from pipeline.detect.traffic.request_profile import RequestProfile
from pipeline.detect.traffic.request_windows import RequestWindows
from pipeline.detect.traffic.weekly_pattern import WEEK_HOURS, WeeklyPattern

__all__ = [
    "WEEK_HOURS",
    "MinuteRequests",
    "RequestCounts",
    "RequestHours",
    "RequestProfile",
    "RequestWindows",
    "WeeklyPattern",
]
