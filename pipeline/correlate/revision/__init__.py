"""pipeline/correlate/revision."""
