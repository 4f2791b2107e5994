"""The broker and the workers as child processes of one topology.

This package may import broker and configuration.
"""

from topologies.processes.topology import STEPS, Topology

__all__ = ["STEPS", "Topology"]
