"""Failures that one line explains to a person: the commands print them without a traceback."""


class Failure(Exception):
    """Something outside is not as it must be. The text says what happened, to what, and what to do."""


class BrokerError(Failure):
    """The embedded broker cannot start, or stopped."""


class TopicError(Failure):
    """The broker's topics do not fit the table in ``schemas/topics.py``."""
