"""The commands of ``driftwire-load``, one file each; each file exposes ``command``."""
