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


@pytest.fixture(scope="package")
def secrets(tmp_path_factory):
    """The file with the secrets of the webhook."""
    path = tmp_path_factory.mktemp("secrets") / "webhook"
    path.write_text("first\n")
    return path


@pytest.fixture(scope="package")
def secured(broker, secrets, tmp_path_factory):
    """A worker with a token and a webhook of GitHub."""
    folder = tmp_path_factory.mktemp("secured")
    (folder / "token").write_text("t0ken\n")
    (folder / "token").chmod(0o600)
    webhook = {"kind": "github", "secrets_file": str(secrets), "subjects": ["{repository.name}"]}
    settings = {"token_file": str(folder / "token"), "webhooks": {"ci": webhook}}
    with http_worker(folder, broker.bootstrap, **settings) as started:
        yield started
