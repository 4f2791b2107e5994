"""A Kafka cluster as its clients see it: addresses, security settings, and client options."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from topologies.errors import BrokerUnreachable, RightMissing
from topologies.kafka.connection import AUTHORIZATION_ERRORS, describe_connection_failure, describe_missing_right
from topologies.kafka_security import SecuritySettings

CONNECT_TIMEOUT_S = 10.0
"""Maximum seconds until a broker answers the first request."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kafka cluster. Its string form is the address, for messages. It never contains a secret.

    Parameters
    ----------
    bootstrap
        ``HOST:PORT`` of a broker, or several separated by commas.
    security
        Encryption and authentication. By default there is none.

    >>> f"no broker answers at {Cluster('127.0.0.1:9092')}"
    'no broker answers at 127.0.0.1:9092'
    """

    bootstrap: str
    security: SecuritySettings = field(default_factory=SecuritySettings)

    def client_options(self) -> dict[str, Any]:
        """Return the keyword arguments that any aiokafka client needs to reach the cluster.

        They contain the password. Do not print them.

        Raises
        ------
        SecurityError
            If a file of the security settings cannot be read or used.
        """
        return {"bootstrap_servers": self.bootstrap, **self.security.client_options()}

    @asynccontextmanager
    async def connecting(self, *, timeout_s: float = CONNECT_TIMEOUT_S) -> AsyncIterator[None]:
        """Name the cause if a client fails to connect in the body of this context.

        Raises
        ------
        BrokerUnreachable
            If the client does not connect within the timeout.
        """
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except AUTHORIZATION_ERRORS:
            raise
        except (TimeoutError, OSError, KafkaError) as error:
            raise await self.unreachable() from error

    async def topic_metadata(self, topics: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the metadata of topics by name, each with its error code and its partitions. No topic is created.

        Raises
        ------
        BrokerUnreachable
            If no broker answers.
        """
        client = AIOKafkaClient(**self.client_options(), request_timeout_ms=int(CONNECT_TIMEOUT_S * 1000))
        try:
            async with self.connecting():
                await client.bootstrap()
                request = MetadataRequest(list(topics), allow_auto_topic_creation=False)
                response = await client.send(client.get_random_node(), request)
        finally:
            await client.close()
        return {entry["topic"]: entry for entry in response.to_object()["topics"]}

    async def unreachable(self) -> BrokerUnreachable:
        """Return an error that names the cause of a failed connection."""
        return BrokerUnreachable(await describe_connection_failure(self.bootstrap, self.security))

    @contextmanager
    def requiring(self, right: str, *resources: str) -> Iterator[None]:
        """Name the missing permission if Kafka refuses a request in the body of this context.

        Parameters
        ----------
        right
            The permission that the requests need, such as Read.
        resources
            The topics, the group or the transactional id of the requests. By default, the error names them.

        Raises
        ------
        RightMissing
            If Kafka refuses a request because the user lacks a permission.
        """
        try:
            yield
        except AUTHORIZATION_ERRORS as error:
            raise RightMissing(self.describe_missing_right(error, right, *resources)) from error

    def describe_missing_right(self, error: BaseException, right: str, *resources: str) -> str:
        """Return a sentence about a missing permission of this user. The parameters are those of :meth:`requiring`."""
        return describe_missing_right(error, right, resources, self.security.user)

    def __str__(self) -> str:
        return self.bootstrap
