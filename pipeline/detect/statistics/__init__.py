"""pipeline/detect/statistics."""
