"""load/demo."""
