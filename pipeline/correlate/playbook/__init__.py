"""pipeline/correlate/playbook."""
