"""pipeline/review/sections."""
