"""The broker and the workers as child processes of one topology.

May import broker and configuration.
"""

from topologies.processes.topology import STEPS, Topology

__all__ = ["STEPS", "Topology"]
