"""Errors that the commands print as one line per problem, without a traceback."""


class DriftwireError(Exception):
    """Problem that a person can fix. The message contains the event, the object that it affected, and the solution."""


class BrokerError(DriftwireError):
    """The embedded broker cannot start, or has stopped."""


class TopicError(DriftwireError):
    """The topics of the broker do not match the table in ``schemas/topics.py``."""
