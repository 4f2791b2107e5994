"""topologies/broker."""
