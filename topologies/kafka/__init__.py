"""topologies/kafka."""
