"""topologies/runtime."""
