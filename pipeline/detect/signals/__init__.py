"""pipeline/detect/signals."""
