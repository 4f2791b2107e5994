"""topologies/console."""
