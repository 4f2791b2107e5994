"""Failures that the commands print without a traceback, one line per problem."""


class Failure(Exception):
    """A problem that the user can fix. The text states what happened, to what, and what to do."""


class BrokerError(Failure):
    """The embedded broker cannot start, or has stopped."""


class TopicError(Failure):
    """The topics of the broker do not match the table in ``schemas/topics.py``."""
