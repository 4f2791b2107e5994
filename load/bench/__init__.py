"""load/bench."""
