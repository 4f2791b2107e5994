"""Errors that the load commands print as one line instead of a traceback."""

from topologies.errors import DriftwireError


class LoadError(DriftwireError):
    """A problem that the user can fix. The text states what happened, to what, and what to do."""
