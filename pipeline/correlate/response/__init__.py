"""pipeline/correlate/response."""
