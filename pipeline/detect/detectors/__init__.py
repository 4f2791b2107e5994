"""pipeline/detect/detectors."""
