"""The streams of one partition, one per subject: processing, state, relearning and replay.

This package may import all packages of detect, but not the step.
"""

from pipeline.detect.stream.monitored_count import MonitoredCount
from pipeline.detect.stream.replay import push_replayed
from pipeline.detect.stream.stream import Stream
from pipeline.detect.stream.stream_state import STREAM_KINDS
from pipeline.detect.stream.stream_summary import StreamSummary, is_summary_part, summarize_stream
from pipeline.detect.stream.streams import Streams

__all__ = [
    "STREAM_KINDS",
    "MonitoredCount",
    "Stream",
    "StreamSummary",
    "Streams",
    "is_summary_part",
    "push_replayed",
    "summarize_stream",
]
