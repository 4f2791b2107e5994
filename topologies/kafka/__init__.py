"""A plain client for commands: reading a topic, writing a message, the history of an incident.

May import errors only.
"""

from topologies.kafka.client import follow, read_all, write
from topologies.kafka.incident_history import incidents_in, material_of

__all__ = ["follow", "incidents_in", "material_of", "read_all", "write"]
