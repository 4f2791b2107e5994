"""For all tests: fixtures of real brokers, and no skipped test on the build server."""

import asyncio
import os
from collections.abc import AsyncIterator, Generator, Iterator

import pytest
import pytest_asyncio

from topologies.broker import EmbeddedBroker, create_topics

RECORDS_PARTITIONS = 4


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a skipped test if ``CI`` is ``true``: the build server has every tool, so a missing one is an error there."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and CI is true: {call.excinfo.value if call.excinfo else ''}"
    return report


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """One broker for all tests of a process, with the topics of the contract. Other tests write to them too."""
    embedded = EmbeddedBroker(tmp_path_factory.mktemp("broker"))
    try:
        asyncio.run(embedded.start())
        asyncio.run(create_topics(embedded.cluster, RECORDS_PARTITIONS, 1))
        yield embedded
    finally:
        asyncio.run(embedded.stop())


@pytest_asyncio.fixture
async def empty_broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedBroker]:
    """A broker for one test, with the empty topics of the contract. It takes two seconds."""
    async with EmbeddedBroker(tmp_path_factory.mktemp("empty-broker")) as embedded:
        await create_topics(embedded.cluster, RECORDS_PARTITIONS, 1)
        yield embedded
