"""Correlate: joins what moved with what was deployed, into incidents that a person can act on."""
