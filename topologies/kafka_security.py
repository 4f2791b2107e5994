"""TLS and SASL settings of all Kafka clients, and their validation."""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from aiokafka.abc import AbstractTokenProvider
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from topologies.secret_files import (
    SecurityError,
    is_world_readable,
    load_certificate,
    read_secret_file,
    tls_problem,
    unreadable_problem,
    world_readable_warning,
)

PASSWORD_VARIABLE = "DRIFTWIRE_KAFKA_PASSWORD"  # noqa: S105  the name of a variable
"""Environment variable with the password of the user."""

PREFIX = "kafka.security."
"""Path of the settings in the configuration."""

Protocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

OAUTHBEARER = "OAUTHBEARER"

USER_KEYS = ("username", "password", "password_file")
"""Keys of the mechanisms that authenticate a user by password."""


class SecuritySettings(BaseModel):
    """Encryption and authentication of all connections to Kafka.

    The broker's host name is always checked against its certificate.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Protocol = Field(
        default="plaintext",
        description="Security protocol of the listener: plaintext, ssl, sasl_plaintext or sasl_ssl.",
    )
    ca_file: str | None = Field(
        default=None,
        min_length=1,
        description="PEM file of the certificate authorities that sign the brokers' certificates. Without this "
        "file, the certificate authorities of the operating system are trusted.",
    )
    certificate_file: str | None = Field(
        default=None,
        min_length=1,
        description="PEM file of the client certificate and its chain, for a cluster that requires one.",
    )
    key_file: str | None = Field(
        default=None, min_length=1, description="PEM file of the private key of certificate_file."
    )
    key_password: SecretStr | None = Field(
        default=None, min_length=1, description="Password of key_file, if it is encrypted."
    )
    mechanism: Mechanism | None = Field(
        default=None,
        description="SASL mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER. Required for sasl_plaintext and "
        "sasl_ssl.",
    )
    username: str | None = Field(
        default=None, min_length=1, description="User for PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512."
    )
    password: SecretStr | None = Field(
        default=None,
        min_length=1,
        description=f"Password of username. The environment variable {PASSWORD_VARIABLE} overrides it.",
    )
    password_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the password of username, instead of password.",
    )
    token_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the token for OAUTHBEARER. It is read again for each connection.",
    )

    @property
    def has_tls(self) -> bool:
        return self.protocol in ("ssl", "sasl_ssl")

    @property
    def has_sasl(self) -> bool:
        return self.protocol in ("sasl_plaintext", "sasl_ssl")

    @property
    def user(self) -> str:
        """The user that needs permissions, as named in error messages."""
        return f"user {self.username}" if self.username else "the user of this client"

    @property
    def identity(self) -> str:
        """The user and the source of the user's secret, as named in error messages."""
        if self.mechanism == OAUTHBEARER:
            return f"the token in {self.token_file}"
        return f"user {self.username} with the password in {self._password_source}"

    @property
    def _password_source(self) -> str:
        if os.environ.get(PASSWORD_VARIABLE):
            return PASSWORD_VARIABLE
        return self.password_file or f"{PREFIX}password"

    def client_options(self) -> dict[str, Any]:
        """Return these settings as keyword arguments for any aiokafka client.

        Raises
        ------
        SecurityError
            If a file cannot be read or used.
        """
        options: dict[str, Any] = {"security_protocol": self.protocol.upper()}
        if self.has_tls:
            options["ssl_context"] = self._tls_context()
        if self.has_sasl:
            options["sasl_mechanism"] = self.mechanism
            if self.mechanism == OAUTHBEARER:
                options["sasl_oauth_token_provider"] = TokenFile(Path(self.token_file or ""))
            else:
                options["sasl_plain_username"] = self.username
                options["sasl_plain_password"] = self._read_password()
        return options

    def problems(self) -> list[str]:
        """Return one line per contradiction or unusable file, with the path of its key."""
        problems = [*(f"{PREFIX}{line}" for line in self._contradictions()), *self._unreadable_files()]
        if not problems:
            try:
                self.client_options()
            except SecurityError as error:
                problems.append(str(error))
        return problems

    def warnings(self, configuration_file: Path) -> list[str]:
        """Return one line per file that contains a secret and that every user of this machine can read."""
        files = {
            "password": None if self.password is None else configuration_file,
            "key_password": None if self.key_password is None else configuration_file,
            "key_file": self.key_file,
            "password_file": self.password_file,
            "token_file": self.token_file,
        }
        return [
            world_readable_warning(f"{PREFIX}{name}", Path(path))
            for name, path in files.items()
            if path is not None and is_world_readable(Path(path))
        ]

    def _contradictions(self) -> Iterator[str]:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        mechanism = f" and mechanism {self.mechanism}" if self.has_sasl and self.mechanism else ""
        for name in given:
            if name not in self._useful_keys():
                yield f"{name}: has no effect with protocol {self.protocol}{mechanism}; remove it, or change the protocol"
        for name, other in (
            ("certificate_file", "key_file"),
            ("key_file", "certificate_file"),
            ("key_password", "key_file"),
        ):
            if name in given and other not in given:
                yield f"{name}: needs {other}; add it"
        if "password" in given and "password_file" in given:
            yield "password_file: cannot be combined with password; remove one of them"
        if self.has_sasl:
            yield from self._missing_keys()

    def _missing_keys(self) -> Iterator[str]:
        if self.mechanism is None:
            yield f"mechanism: is required with protocol {self.protocol}; set it to one of {', '.join(get_args(Mechanism))}"
        elif self.mechanism == OAUTHBEARER:
            if self.token_file is None:
                yield "token_file: is required with mechanism OAUTHBEARER; add it"
        elif self.username is None:
            yield f"username: is required with mechanism {self.mechanism}; add it"
        elif self.password is None and self.password_file is None and not os.environ.get(PASSWORD_VARIABLE):
            yield (
                f"password: is required with mechanism {self.mechanism}; add password_file, or set the environment "
                f"variable {PASSWORD_VARIABLE}"
            )

    def _useful_keys(self) -> set[str]:
        """Return the keys that have an effect with this protocol and mechanism."""
        keys = {"protocol"}
        if self.has_tls:
            keys |= {"ca_file", "certificate_file", "key_file", "key_password"}
        if self.has_sasl:
            keys |= {"mechanism", *({"token_file"} if self.mechanism == OAUTHBEARER else USER_KEYS)}
        return keys

    def _unreadable_files(self) -> Iterator[str]:
        for name in ("ca_file", "certificate_file", "key_file", "password_file", "token_file"):
            path = getattr(self, name)
            if path is not None and (problem := unreadable_problem(f"{PREFIX}{name}", Path(path))):
                yield problem

    def _tls_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise SecurityError(
                f"{PREFIX}ca_file: {self.ca_file} contains no certificates in PEM format ({tls_problem(error)})"
            ) from error
        if self.certificate_file is not None:
            password = self.key_password.get_secret_value() if self.key_password is not None else ""
            load_certificate(context, PREFIX, self.certificate_file, self.key_file, password)
        return context

    def _read_password(self) -> str:
        if given := os.environ.get(PASSWORD_VARIABLE):
            return given
        if self.password is not None:
            return self.password.get_secret_value()
        return read_secret_file(f"{PREFIX}password_file", Path(self.password_file or ""))


class TokenFile(AbstractTokenProvider):
    """Token in a file that another program renews."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """Read the token. A new connection uses the newest token."""
        return read_secret_file(f"{PREFIX}token_file", self._path)
