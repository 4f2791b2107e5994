"""pipeline/detect/intake."""
