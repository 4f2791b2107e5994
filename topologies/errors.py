"""Errors that the commands print as one line per problem, without a traceback."""


class DriftwireError(Exception):
    """Problem that the user can fix. The message states the problem, the affected object, and a remedy."""


class BrokerError(DriftwireError):
    """The embedded broker cannot start, or has stopped."""


class TopicError(DriftwireError):
    """The topics of the broker do not match the table in ``schemas/topics.py``."""
