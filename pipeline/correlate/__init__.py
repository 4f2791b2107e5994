"""The correlate step combines drifts and deployments into incidents that a person can act on."""
