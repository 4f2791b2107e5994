"""Drives the step from outside Kafka: learning from history, explaining, sensitivity.

Nothing in detect imports it.
"""

from pipeline.detect.offline.explain import Explained, Trace, explain
from pipeline.detect.offline.history import batches, learn_history
from pipeline.detect.offline.sensitivity import Smallest, smallest_changes

__all__ = ["Explained", "Smallest", "Trace", "batches", "explain", "learn_history", "smallest_changes"]
