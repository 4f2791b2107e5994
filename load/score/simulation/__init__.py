"""load/score/simulation."""
