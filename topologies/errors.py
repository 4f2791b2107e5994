"""Errors that the commands print as one line per problem, without a traceback."""


class DriftwireError(Exception):
    """Problem that the user can fix. The message states the problem, the affected object, and a remedy."""


class BrokerUnreachable(DriftwireError):
    """A client cannot connect to Kafka. The message states the cause, for example a wrong password."""


class RightMissing(DriftwireError):
    """Kafka answers but the user lacks a permission. The message names it and its topic, group or transactional id."""


class BrokerError(DriftwireError):
    """The embedded broker cannot start, or has stopped."""


class TopicError(DriftwireError):
    """The topics of the broker do not match the table in ``schemas/topics.py``."""


class InputTopicMissing(TopicError):
    """A topic of another service, from which intake reads, does not exist."""
