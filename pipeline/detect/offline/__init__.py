"""Run the detect step without Kafka: learn from history, explain evidence, compute the smallest detectable changes.

No other module of detect imports this package.
"""

from pipeline.detect.offline.drifts import read_drifts
from pipeline.detect.offline.explain import Explanation, TestTrace, explain
from pipeline.detect.offline.history import learn_history, message_batches
from pipeline.detect.offline.sensitivity import SmallestChange, smallest_changes

__all__ = [
    "Explanation",
    "SmallestChange",
    "TestTrace",
    "explain",
    "learn_history",
    "message_batches",
    "read_drifts",
    "smallest_changes",
]
