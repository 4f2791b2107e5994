"""One subject in one partition: its life, its checkpoint, relearning and replay.

May import everything below the step.
"""

from pipeline.detect.stream.parts import PARTITION_KEY, Written, joined
from pipeline.detect.stream.replay import push_replayed
from pipeline.detect.stream.restore import StreamRestorer
from pipeline.detect.stream.state import changed_parts
from pipeline.detect.stream.stream import MonitoredCount, Stream

__all__ = [
    "PARTITION_KEY",
    "MonitoredCount",
    "Stream",
    "StreamRestorer",
    "Written",
    "changed_parts",
    "joined",
    "push_replayed",
]
