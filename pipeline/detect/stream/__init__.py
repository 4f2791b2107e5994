"""One subject in one partition: its life, its state, relearning and replay.

May import every room of detect below the step.
"""

from pipeline.detect.stream.replay import push_replayed
from pipeline.detect.stream.restore import StreamRestorer
from pipeline.detect.stream.stream import PART_KINDS, MonitoredCount, Stream

__all__ = ["PART_KINDS", "MonitoredCount", "Stream", "StreamRestorer", "push_replayed"]
