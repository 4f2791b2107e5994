"""pipeline/detect/baselines."""
