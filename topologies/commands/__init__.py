"""The commands of ``driftwire``, one file per command."""
