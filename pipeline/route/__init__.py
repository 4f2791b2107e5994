"""The last step: incident revisions in, one decision for each receiver out."""
