"""pipeline/detect/findings."""
