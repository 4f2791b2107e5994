"""Errors that the commands print without a traceback, one line per problem."""


class DriftwireError(Exception):
    """A problem that a person can fix. The text states what happened, to what, and what to do."""


class BrokerError(DriftwireError):
    """The embedded broker cannot start, or has stopped."""


class TopicError(DriftwireError):
    """The topics of the broker do not match the table in ``schemas/topics.py``."""
