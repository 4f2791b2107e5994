"""Validation of Kafka addresses in the configuration and in ``--bootstrap``."""

import re

_ADDRESSES = re.compile(r"[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*", re.ASCII)


def check_kafka_address(bootstrap: str) -> str:
    """Return an address unchanged.

    Raises
    ------
    ValueError
        If the address is not a ``HOST:PORT`` pair or a list of pairs separated by commas.

    >>> check_kafka_address("kafka-1:9092,kafka-2:9092")
    'kafka-1:9092,kafka-2:9092'
    """
    if not _ADDRESSES.fullmatch(bootstrap):
        raise ValueError(f"must be HOST:PORT, or several separated by commas, not {bootstrap!r}")
    return bootstrap
