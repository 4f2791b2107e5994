"""Traffic: a message producer, probes, and replays of files.

This package may import inputs and harness.
"""

from load.traffic.file_replay import Replay, ReplayReport
from load.traffic.probes import generate_probes
from load.traffic.producer import ProduceResult, partition_for_key, produce

__all__ = ["ProduceResult", "Replay", "ReplayReport", "generate_probes", "partition_for_key", "produce"]
