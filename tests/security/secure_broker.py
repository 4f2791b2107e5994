"""The embedded broker with TLS, SASL and ACLs. Without them, only its own administrator connects."""

import base64
import json
import socket
import time
from pathlib import Path
from typing import Any

from tests.security.certificates import make_authority, make_certificate
from topologies.broker import EmbeddedBroker
from topologies.kafka import Cluster
from topologies.kafka_security import SecuritySettings

WORKERS = ("driftwire-intake", "driftwire-detect", "driftwire-correlate", "driftwire-route")
USERS = (
    *WORKERS,
    "driftwire-http",
    "driftwire",
    "reader",
    "operator",
    "deployer",
    "producer",
    "administrator",
    "nobody",
)

INPUT_TOPIC = "llm.requests"
"""Topic of another service that intake reads. The commands in docs/security.md use this name."""

HOST = "127.0.0.1"

SETTINGS = """
listeners=CLIENTS://{host}:{port},CONTROLLER://{host}:{controller},SECURE://{host}:{secure},MUTUAL://{host}:{mutual},CLEAR://{host}:{clear}
advertised.listeners=CLIENTS://{host}:{port},SECURE://{host}:{secure},MUTUAL://{host}:{mutual},CLEAR://{host}:{clear}
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,MUTUAL:SSL,CLEAR:SASL_PLAINTEXT
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:administrator
ssl.keystore.type=PEM
ssl.keystore.location={folder}/keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/authority.pem
ssl.principal.mapping.rules=RULE:^CN=(.*)$/$1/
listener.name.mutual.ssl.client.auth=required
listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.clear.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required {plain};
listener.name.secure.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.clear.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secure.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule \
required unsecuredLoginStringClaim_sub="broker";
"""


def password_of(user: str) -> str:
    """Return the password of a test user."""
    return f"s3cret-of-{user}"


class SecureBroker(EmbeddedBroker):
    """Broker with four listeners for clients: plain for the administrator, SASL over TLS, mutual TLS, SASL without TLS.

    Attributes
    ----------
    certificates
        Folder of the certificates. ``authority.pem`` is the authority of the broker and of the clients.
    """

    def __init__(self, data_folder: Path, certificates: Path) -> None:
        super().__init__(data_folder)
        self.certificates = certificates
        self.secure_port, self.mutual_port, self.clear_port = _free_ports(3)
        authority = make_authority(certificates)
        make_authority(certificates, "stranger")
        broker = make_certificate(certificates, authority, "broker", f"IP:{HOST}")
        for user in WORKERS:
            make_certificate(certificates, authority, user)
        (certificates / "keystore.pem").write_text(broker.key.read_text() + broker.certificate.read_text())

    def secure_cluster(self, user: str, mechanism: str = "SCRAM-SHA-512", **changes: Any) -> Cluster:
        """Return the cluster for a user and a mechanism: a SASL mechanism, or ``mutual TLS``."""
        settings: dict[str, Any] = {"ca_file": str(self.certificates / "authority.pem")}
        if mechanism == "mutual TLS":
            certificate = self.certificates / f"{user}.pem"
            settings |= {"protocol": "ssl", "certificate_file": str(certificate)}
            settings |= {"key_file": str(certificate.with_suffix(".key"))}
        elif mechanism == "OAUTHBEARER":
            settings |= {"protocol": "sasl_ssl", "mechanism": mechanism, "token_file": str(self.token_file(user))}
        else:
            settings |= {"protocol": "sasl_ssl", "mechanism": mechanism, "username": user}
            settings |= {"password": password_of(user)}
        port = self.mutual_port if mechanism == "mutual TLS" else self.secure_port
        settings |= changes
        return Cluster(f"{HOST}:{settings.pop('port', port)}", SecuritySettings.model_validate(settings))

    def token_file(self, user: str, expires_in_s: float = 3600.0) -> Path:
        """Write an unsigned JSON web token, which the broker's test handler accepts."""
        now = time.time()
        parts = ({"alg": "none"}, {"sub": user, "iat": now, "exp": now + expires_in_s})
        token = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
        path = self.certificates / f"{user}.token"
        path.write_text(f"{token}.\n")
        path.chmod(0o600)
        return path

    def _write_settings(self, controller_port: int) -> None:
        super()._write_settings(controller_port)
        settings = self.data_folder / "server.properties"
        text = SETTINGS.format(
            host=HOST,
            port=self.port,
            controller=controller_port,
            secure=self.secure_port,
            mutual=self.mutual_port,
            clear=self.clear_port,
            folder=self.certificates,
            plain=" ".join(f'user_{user}="{password_of(user)}"' for user in USERS),
        )
        overridden = {line.partition("=")[0] for line in text.splitlines()}
        kept = [line for line in settings.read_text().splitlines() if line.partition("=")[0] not in overridden]
        settings.write_text("\n".join([*kept, text]))

    async def _run_tool(self, jars: list[Path], *arguments: str) -> None:
        users = [
            argument
            for user in USERS
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for argument in ("--add-scram", f"{mechanism}=[name={user},password={password_of(user)}]")
        ]
        await super()._run_tool(jars, *arguments, *users)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for probe in sockets:
        probe.bind((HOST, 0))
    ports = [probe.getsockname()[1] for probe in sockets]
    for probe in sockets:
        probe.close()
    return ports
