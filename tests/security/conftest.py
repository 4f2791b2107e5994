"""Fixtures for security tests: one broker with TLS, SASL and the permissions in docs/security.md."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.security.acls import add_acls, documented_acls
from tests.security.secure_broker import INPUT_TOPIC, SecureBroker
from tests.topologies.test_intake import create
from topologies.broker import create_topics

RECORDS_PARTITIONS = 1


@pytest.fixture(scope="package")
def secure_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """One broker for all security tests, with the topics of the contract, a topic for intake and the documented permissions."""
    broker = SecureBroker(tmp_path_factory.mktemp("secure-broker"), tmp_path_factory.mktemp("certificates"))

    async def start() -> None:
        await broker.start()
        await create_topics(broker.cluster, RECORDS_PARTITIONS, 1)
        await create(broker.bootstrap, {INPUT_TOPIC: 1})
        await create_topics(broker.cluster, RECORDS_PARTITIONS, 1, step="intake", input_topics=[INPUT_TOPIC])
        await add_acls(broker.cluster, documented_acls())

    try:
        asyncio.run(start())
        yield broker
    finally:
        asyncio.run(broker.stop())
