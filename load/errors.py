"""What goes wrong for a person at the terminal: one clear line instead of a traceback."""

from topologies.errors import Failure


class LoadError(Failure):
    """Something that the user can put right; its text says what happened, to what, and what to do."""
