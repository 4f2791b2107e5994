"""load/traffic."""
