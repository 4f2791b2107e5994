"""The contracts: one message a file, and the table of topics that carry them."""
