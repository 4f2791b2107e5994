"""The contracts: one message per file, and the table of topics that carry them."""
