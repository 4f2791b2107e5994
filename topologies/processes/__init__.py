"""Broker and workers of one topology, as child processes.

This package may import broker, configuration and kafka.
"""

from topologies.processes.child_environment import child_environment
from topologies.processes.topology import STEPS, Topology

__all__ = ["STEPS", "Topology", "child_environment"]
