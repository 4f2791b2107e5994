"""Hide aiokafka's log lines, because driftwire itself reports the state of Kafka."""

import logging

from aiokafka.errors import KafkaError


class _UnexpectedErrors(logging.Handler):
    """Handler that passes on a line with an exception that Kafka did not cause. Without it, nobody would see the error."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, KafkaError):
            logging.getLogger("driftwire").handle(record)


def hide_client_lines() -> None:
    """Hide aiokafka's log lines in this process. While Kafka is unavailable, it writes a hundred lines per second.

    Errors of Kafka reach the caller, which logs or raises them. Other exceptions in aiokafka's tasks are still logged.
    """
    logger = logging.getLogger("aiokafka")
    logger.propagate = False
    logger.handlers = [_UnexpectedErrors()]
