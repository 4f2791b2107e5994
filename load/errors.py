"""Errors that the load commands print on one line, without a traceback."""

from topologies.errors import DriftwireError


class LoadError(DriftwireError):
    """Problem that the user can fix. The message states the problem, the affected object, and a remedy."""
