"""pipeline/correlate/deployments."""
