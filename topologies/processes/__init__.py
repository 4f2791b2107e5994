"""Broker and workers of one topology, as child processes.

This package may import broker and configuration.
"""

from topologies.processes.topology import STEPS, Topology

__all__ = ["STEPS", "Topology"]
