"""pipeline/correlate/incidents."""
