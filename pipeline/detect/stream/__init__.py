"""One subject in one partition: its life, its checkpoint, relearning and replay.

May import everything below the step.
"""

from pipeline.detect.stream.parts import PARTITION_KEY, Written, joined
from pipeline.detect.stream.replay import push_replayed
from pipeline.detect.stream.restore import Restorer
from pipeline.detect.stream.state import changed_parts
from pipeline.detect.stream.stream import Judged, Unit

__all__ = ["PARTITION_KEY", "Judged", "Restorer", "Unit", "Written", "changed_parts", "joined", "push_replayed"]
