"""pipeline/detect/offline."""
