"""Sending records: producing, probes, replay.

May import inputs and stage.
"""

from load.traffic.probes import probes
from load.traffic.produce import Produced, partition_of, produce
from load.traffic.replay import Replay, run, show

__all__ = ["Produced", "Replay", "partition_of", "probes", "produce", "run", "show"]
