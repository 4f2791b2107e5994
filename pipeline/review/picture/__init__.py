"""pipeline/review/picture."""
