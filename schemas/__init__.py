"""The contracts: one file per message, and the table of topics."""
