"""The http worker needs only its documented rights. It names one that it loses, and continues when it is granted."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.security.acls import Acl, add_acls, remove_acls
from tests.security.secure_broker import SecureBroker, password_of
from tests.topologies.http_server.http_worker import HttpWorker
from tests.topologies.http_server.test_records_over_http import record
from topologies.configuration import Configuration

pytestmark = pytest.mark.kafka

USER = "driftwire-http"


def test_the_http_worker_names_a_right_that_it_loses_and_continues_when_it_is_granted(
    secure_broker: SecureBroker, tmp_path: Path
) -> None:
    configuration = Configuration().with_cluster(secure_broker.secure_cluster(USER))
    kafka = configuration.kafka.model_copy(update={"records_partitions": 1})
    with HttpWorker(tmp_path, kafka, {}) as worker:
        worker.start()
        assert worker.send("/v1/records", record()).status == 200
        right = Acl(USER, "Write", "topic", "driftwire.records")
        asyncio.run(remove_acls(secure_broker.cluster, [right]))
        try:
            assert worker.send("/v1/records", record(1)).status == 503
        finally:
            asyncio.run(add_acls(secure_broker.cluster, [right]))
        missing = "Write permission on topic driftwire.records is missing: grant it to user driftwire-http"
        assert worker.output.count(missing) == 1
        deadline = time.monotonic() + 20
        while worker.send("/v1/records", record(1)).status != 200:
            assert time.monotonic() < deadline, worker.output
            time.sleep(0.2)
        assert worker.stop() == 0
        assert "Traceback" not in worker.output
        assert password_of(USER) not in worker.output
