"""Wrong options are found when the client is built."""

from pathlib import Path
from typing import Any

import pytest

from driftwire_client import Client, SecurityOptions
from driftwire_client.security import MECHANISMS, PASSWORD_VARIABLE, PROTOCOLS, librdkafka_options
from topologies.kafka_security import PASSWORD_VARIABLE as DRIFTWIRES_VARIABLE
from topologies.kafka_security import SecuritySettings


def test_the_options_are_those_of_driftwire() -> None:
    assert set(SecurityOptions.__annotations__) == set(SecuritySettings.model_fields)
    assert PASSWORD_VARIABLE == DRIFTWIRES_VARIABLE
    for protocol in PROTOCOLS:
        assert SecuritySettings(protocol=protocol)  # type: ignore[arg-type]
    for mechanism in MECHANISMS:
        assert SecuritySettings(mechanism=mechanism)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("security", "message"),
    [
        ({"protocl": "ssl"}, "security.protocl is unknown"),
        ({"protocol": "tls"}, "security.protocol must be one of plaintext, ssl, sasl_plaintext, sasl_ssl, not 'tls'"),
        ({"protocol": "sasl_ssl"}, "security.mechanism must be one of"),
        ({"protocol": "sasl_ssl", "mechanism": "PLAIN"}, "security.username is required with mechanism PLAIN"),
        (
            {"protocol": "sasl_ssl", "mechanism": "PLAIN", "username": "a"},
            "security.password_file is required with mechanism PLAIN",
        ),
        ({"protocol": "sasl_ssl", "mechanism": "OAUTHBEARER"}, "security.token_file is required"),
        ({"username": "a", "password": "b"}, "security.username has no effect with protocol plaintext: remove it"),
        ({"ca_file": "ca.pem"}, "security.ca_file has no effect with protocol plaintext"),
        ({"protocol": "ssl", "mechanism": "PLAIN"}, "security.mechanism has no effect with protocol ssl"),
        (
            {"protocol": "sasl_ssl", "mechanism": "OAUTHBEARER", "token_file": "token", "password": "b"},
            "security.password has no effect with protocol sasl_ssl and mechanism OAUTHBEARER",
        ),
        ({"protocol": "ssl", "certificate_file": "a.pem"}, "security.certificate_file needs key_file: add it"),
        ({"protocol": "sasl_ssl", "mechanism": "PLAIN", "username": "a", "password": ""}, "password_file is required"),
        ({"protocol": "ssl", "ca_file": "/nowhere/ca.pem"}, "security.ca_file: /nowhere/ca.pem cannot be read"),
    ],
)
def test_wrong_options_are_named(security: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Client("127.0.0.1:1", security=security)


def test_the_password_comes_from_the_variable_the_option_or_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    file = tmp_path / "password"
    file.write_text("of-the-file\n")
    security: SecurityOptions = {
        "protocol": "sasl_ssl",
        "mechanism": "PLAIN",
        "username": "a",
        "password_file": str(file),
    }
    assert librdkafka_options(security)["sasl.password"] == "of-the-file"
    assert librdkafka_options({**security, "password": "given"})["sasl.password"] == "given"
    monkeypatch.setenv(PASSWORD_VARIABLE, "of-the-variable")
    assert librdkafka_options(security)["sasl.password"] == "of-the-variable"
