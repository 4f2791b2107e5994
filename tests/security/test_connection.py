"""Connections with TLS and SASL: all mechanisms work, and each error states its cause without a secret."""

import pytest

from schemas.topics import ALERTS
from tests.security.secure_broker import HOST, SecureBroker, password_of
from topologies.errors import BrokerUnreachable
from topologies.kafka import Cluster, read_topic

pytestmark = pytest.mark.kafka

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "mutual TLS")


async def read_alerts(cluster: Cluster) -> list[object]:
    return [message async for message in read_topic(cluster, ALERTS)]


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_client_connects_with_each_mechanism(secure_broker: SecureBroker, mechanism: str) -> None:
    await read_alerts(secure_broker.secure_cluster("driftwire-route", mechanism))


async def test_a_client_connects_with_sasl_without_tls(secure_broker: SecureBroker) -> None:
    plain = {"protocol": "sasl_plaintext", "ca_file": None, "port": secure_broker.clear_port}
    await read_alerts(secure_broker.secure_cluster("driftwire-route", **plain))


def failures(broker: SecureBroker) -> dict[str, tuple[Cluster, str]]:
    """One cluster per cause of a failed connection, and its message."""
    stranger = broker.certificates / "stranger.pem"
    by_name = broker.secure_cluster("reader")
    return {
        "password": (
            broker.secure_cluster("reader", password="wr0ng"),
            "authentication failed for user reader with the password in kafka.security.password and mechanism SCRAM-SHA-512",
        ),
        "plain password": (
            broker.secure_cluster("reader", "PLAIN", password="wr0ng"),
            "authentication failed for user reader with the password in kafka.security.password and mechanism PLAIN",
        ),
        "token": (
            broker.secure_cluster("reader", "OAUTHBEARER", token_file=str(broker.token_file("expired", -60))),
            "authentication failed for the token in ",
        ),
        "mechanism": (
            broker.secure_cluster("reader", "PLAIN", protocol="sasl_plaintext", ca_file=None, port=broker.clear_port),
            "the listener does not support mechanism PLAIN: change kafka.security.mechanism",
        ),
        "untrusted": (
            broker.secure_cluster("reader", ca_file=str(stranger)),
            "the certificate of the broker is not trusted",
        ),
        "hostname": (
            Cluster(f"localhost:{broker.secure_port}", by_name.security),
            "the certificate of the broker is not for localhost",
        ),
        "no client certificate": (
            broker.secure_cluster("driftwire-route", "mutual TLS", certificate_file=None, key_file=None),
            "the broker requires a client certificate",
        ),
        "untrusted client certificate": (
            broker.secure_cluster(
                *("driftwire-route", "mutual TLS"),
                certificate_file=str(stranger),
                key_file=str(stranger.with_suffix(".key")),
            ),
            "the broker refuses the client certificate",
        ),
        "plaintext client": (
            Cluster(f"{HOST}:{broker.secure_port}"),
            "the listener uses TLS: set kafka.security.protocol to ssl or sasl_ssl",
        ),
        "tls client": (
            broker.secure_cluster("reader", port=broker.port),
            "the listener does not use TLS: set kafka.security.protocol to plaintext or sasl_plaintext",
        ),
        "sasl client": (
            broker.secure_cluster("reader", protocol="sasl_plaintext", ca_file=None, port=broker.port),
            "the listener does not use SASL: set kafka.security.protocol to plaintext or ssl",
        ),
        "client without sasl": (
            Cluster(f"{HOST}:{broker.clear_port}"),
            "the broker closed the connection: if it requires authentication, set kafka.security.protocol to sasl_ssl",
        ),
    }


CAUSES = (
    *("password", "plain password", "token", "mechanism", "untrusted", "hostname", "no client certificate"),
    *("untrusted client certificate", "plaintext client", "tls client", "sasl client", "client without sasl"),
)


@pytest.mark.parametrize("cause", CAUSES)
async def test_a_failed_connection_names_its_cause_and_no_secret(
    secure_broker: SecureBroker, caplog: pytest.LogCaptureFixture, cause: str
) -> None:
    cluster, message = failures(secure_broker)[cause]
    with pytest.raises(BrokerUnreachable) as error:
        await read_alerts(cluster)
    assert message in str(error.value)
    assert f"cannot connect to Kafka at {cluster}" in str(error.value)
    printed = f"{error.value}{cluster}{cluster!r}{caplog.text}"
    assert "wr0ng" not in printed
    assert password_of("reader") not in printed
