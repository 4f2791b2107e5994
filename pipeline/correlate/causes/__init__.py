"""pipeline/correlate/causes."""
