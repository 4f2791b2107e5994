"""The commands of ``driftwire``, one file each, named after it."""
