"""pipeline/detect/blocks."""
