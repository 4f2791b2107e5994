"""pipeline/detect/stream."""
