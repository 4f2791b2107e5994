"""Exactly-once runtime: partitions, checkpoints in transactions, batches in Faust, and logs.

Only this package and the three topology files import Faust. It may import configuration and kafka.
"""

from topologies.runtime.application import StepApplication, build_application
from topologies.runtime.checkpoint import Checkpoints, read_checkpoint
from topologies.runtime.faust_worker import run_worker
from topologies.runtime.topology_spec import TopologySpec

__all__ = ["Checkpoints", "StepApplication", "TopologySpec", "build_application", "read_checkpoint", "run_worker"]
