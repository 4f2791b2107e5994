"""The client of serving systems connects with the same options as driftwire, and tells no secret."""

import time
from typing import Any, cast

import pytest

from driftwire_client import Client, SecurityOptions
from driftwire_client.security import PASSWORD_VARIABLE
from tests.security.secure_broker import HOST, SecureBroker, password_of

pytestmark = pytest.mark.kafka


def build_client(broker: SecureBroker, user: str, mechanism: str, **changes: Any) -> Client:
    """Return a client with the options that driftwire's own settings have."""
    settings = broker.secure_cluster(user, mechanism).security
    options = settings.model_dump(exclude_defaults=True) | changes
    if settings.password is not None and "password" not in changes:
        options["password"] = settings.password.get_secret_value()
    port = broker.mutual_port if mechanism == "mutual TLS" else broker.secure_port
    security = cast("SecurityOptions", {name: value for name, value in options.items() if value is not None})
    return Client(f"{HOST}:{port}", subject="secure", security=security, close_timeout_s=15)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"])
def test_the_client_sends_with_each_mechanism(secure_broker: SecureBroker, mechanism: str) -> None:
    with build_client(secure_broker, "producer", mechanism) as client:
        client.record(latency_ms=812)
    assert client.counts().sent == 1


def test_the_client_sends_with_a_certificate(secure_broker: SecureBroker) -> None:
    with build_client(secure_broker, "driftwire-detect", "mutual TLS") as client:
        client.record(latency_ms=812)
    counts = client.counts()
    # The user of this certificate may not write records: Kafka knows who it is.
    assert counts.dropped == {"refused": 1}


def test_a_wrong_password_is_logged_without_it(
    secure_broker: SecureBroker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftwire_client.client.PROBLEM_AFTER_S", 1.0)
    monkeypatch.setenv(PASSWORD_VARIABLE, "wr0ng")
    client = build_client(secure_broker, "producer", "SCRAM-SHA-512")
    client.record(latency_ms=812)
    deadline = time.monotonic() + 20
    while not caplog.records and time.monotonic() < deadline:
        time.sleep(0.1)
    client._close_timeout_s = 0.1
    client.close()
    assert "uthentication failed" in caplog.records[0].getMessage()
    assert len(caplog.records) == 2
    assert "wr0ng" not in caplog.text
    assert password_of("producer") not in caplog.text
