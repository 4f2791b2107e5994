"""The commands of ``driftwire-load``, one file per command."""
