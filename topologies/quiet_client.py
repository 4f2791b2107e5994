"""Silence for aiokafka's own log lines while a caller reports the state of Kafka itself."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_client() -> Iterator[None]:
    """Hide aiokafka's log lines, of which it writes many per second while Kafka does not answer."""
    logger = logging.getLogger("aiokafka")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)
