"""What many tests share: real brokers."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from topologies.broker import EmbeddedBroker, create_topics

RECORDS_PARTITIONS = 4


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """One broker for the whole run, with the topics of the contract: other tests write to them too."""
    embedded = EmbeddedBroker(tmp_path_factory.mktemp("broker"))
    asyncio.run(embedded.start())
    asyncio.run(create_topics(embedded.bootstrap, RECORDS_PARTITIONS, 1))
    yield embedded
    asyncio.run(embedded.stop())


@pytest_asyncio.fixture
async def empty_broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedBroker]:
    """A broker of the test's own, with the topics of the contract and nothing in them; it takes two seconds."""
    async with EmbeddedBroker(tmp_path_factory.mktemp("empty-broker")) as embedded:
        await create_topics(embedded.bootstrap, RECORDS_PARTITIONS, 1)
        yield embedded
