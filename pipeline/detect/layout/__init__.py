"""pipeline/detect/layout."""
