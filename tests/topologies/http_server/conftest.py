"""One worker and one reader of the records for most tests."""

import pytest

from schemas.topics import DEPLOYMENTS, RECORDS
from tests.topologies.http_server.http_worker import TopicReader, http_worker

SMALL_BYTES = 100_000


@pytest.fixture(scope="package")
def worker(broker, tmp_path_factory):
    """A worker that accepts bodies of at most 100,000 bytes."""
    with http_worker(tmp_path_factory.mktemp("http"), broker.bootstrap, request_bytes_max=SMALL_BYTES) as started:
        yield started


@pytest.fixture
def records(broker):
    return TopicReader(broker.bootstrap, RECORDS)


@pytest.fixture
def deployments(broker):
    return TopicReader(broker.bootstrap, DEPLOYMENTS)
