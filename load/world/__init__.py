"""load/world."""
