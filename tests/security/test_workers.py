"""Workers and ``driftwire up`` with TLS and SASL: each mechanism runs a worker, and records become a notification."""

import asyncio
from pathlib import Path

import pytest

from tests.security.secure_broker import SecureBroker, password_of
from tests.security.test_connection import MECHANISMS
from tests.security.work import outputs_of_work, secure_worker, send_work, wait_for_outputs

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_worker_runs_with_each_mechanism_and_only_its_rights(
    secure_broker: SecureBroker, tmp_path: Path, mechanism: str
) -> None:
    with secure_worker("detect", secure_broker.secure_cluster("driftwire-detect", mechanism), tmp_path) as detect:
        detect.start()
        detect.wait_for_output("detect: ready")
        asyncio.run(send_work("detect", secure_broker, mechanism))
        wait_for_outputs(secure_broker, outputs_of_work("detect", mechanism))
        assert detect.stop() == 0
        assert password_of("driftwire-detect") not in detect.output
