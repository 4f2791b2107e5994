"""Traffic: the requests per minute of a stream, and how many are normal at each hour of the day.

This package may import signals.
"""

from pipeline.detect.traffic.request_counts import MinuteRequests, RequestCounts
from pipeline.detect.traffic.request_profile import RequestProfile
from pipeline.detect.traffic.request_windows import RequestWindows

__all__ = ["MinuteRequests", "RequestCounts", "RequestProfile", "RequestWindows"]
