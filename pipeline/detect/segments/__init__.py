"""pipeline/detect/segments."""
