"""topologies/processes."""
