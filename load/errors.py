"""What goes wrong for a person at the terminal: one clear line instead of a traceback."""

from topologies.errors import DriftwireError


class LoadError(DriftwireError):
    """Something that the user can put right; its text says what happened, to what, and what to do."""
