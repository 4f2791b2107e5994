"""A Kafka cluster as its clients see it: the addresses, and the options that every client needs."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kafka cluster. Its string form is the address, for messages.

    Parameters
    ----------
    bootstrap
        ``HOST:PORT`` of a broker, or several separated by commas.

    >>> f"no broker answers at {Cluster('127.0.0.1:9092')}"
    'no broker answers at 127.0.0.1:9092'
    """

    bootstrap: str

    def client_options(self) -> dict[str, Any]:
        """Return the keyword arguments that every client of aiokafka needs to reach the cluster."""
        return {"bootstrap_servers": self.bootstrap}

    def __str__(self) -> str:
        return self.bootstrap
