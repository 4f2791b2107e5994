"""Traffic: a message producer, probes, and replays of files.

This package may import harness.
"""

from load.traffic.file_replay import Replay, ReplayReport
from load.traffic.outgoing_message import OutgoingMessage
from load.traffic.probes import generate_probes
from load.traffic.producer import ProduceResult, partition_for_key, produce

__all__ = [
    "OutgoingMessage",
    "ProduceResult",
    "Replay",
    "ReplayReport",
    "generate_probes",
    "partition_for_key",
    "produce",
]
