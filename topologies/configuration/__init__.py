"""topologies/configuration."""
