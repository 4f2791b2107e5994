"""The exact runtime: partitions, checkpoints in transactions, Faust in batches, logs.

The only room that imports Faust. May import configuration.
"""

from topologies.runtime.application import application
from topologies.runtime.checkpoint import read_to_end
from topologies.runtime.run_worker import run_worker
from topologies.runtime.wiring import Wiring

__all__ = ["Wiring", "application", "read_to_end", "run_worker"]
