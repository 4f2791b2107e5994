"""The memory of one stream: ready, learning, and put away.

This package may import measurement.
"""

from load.bench.footprint.stream_bytes import LEARNING_S, READY_RECORDS, measure_stream_bytes

__all__ = ["LEARNING_S", "READY_RECORDS", "measure_stream_bytes"]
