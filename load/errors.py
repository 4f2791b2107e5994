"""Errors that the load commands print on one line, without a traceback."""

from topologies.errors import DriftwireError


class LoadError(DriftwireError):
    """A problem that the user can fix. The message states the problem, the object concerned, and a remedy."""
