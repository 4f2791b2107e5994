"""Fixtures for all tests: real brokers."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from topologies.broker import EmbeddedBroker, create_topics

RECORDS_PARTITIONS = 4


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """One broker for all tests, with the topics of the contract. Other tests write to them too."""
    embedded = EmbeddedBroker(tmp_path_factory.mktemp("broker"))
    asyncio.run(embedded.start())
    asyncio.run(create_topics(embedded.cluster, RECORDS_PARTITIONS, 1))
    yield embedded
    asyncio.run(embedded.stop())


@pytest_asyncio.fixture
async def empty_broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedBroker]:
    """A broker for one test, with the empty topics of the contract. It takes two seconds."""
    async with EmbeddedBroker(tmp_path_factory.mktemp("empty-broker")) as embedded:
        await create_topics(embedded.cluster, RECORDS_PARTITIONS, 1)
        yield embedded
