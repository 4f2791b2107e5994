"""pipeline/correlate/severity."""
