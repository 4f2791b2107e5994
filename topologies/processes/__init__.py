"""Broker and workers of one topology, as child processes.

This package may import broker, configuration and kafka.
"""

from topologies.processes.topology import STEPS, Topology

__all__ = ["STEPS", "Topology"]
