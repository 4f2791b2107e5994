"""Settings of a server: its address, the authentication of its clients, and TLS, with their validation."""

import ipaddress
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from topologies.secret_files import (
    SecurityError,
    is_world_readable,
    load_certificate,
    read_secret_file,
    tls_problem,
    unreadable_problem,
    world_readable_warning,
)

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})", re.ASCII)
_SECRETS = ("token_file", "key_file")
_FILES = ("token_file", "certificate_file", "key_file", "client_ca_file")


class ListenerSettings(BaseModel):
    """Where a server listens, and which clients it accepts.

    Attributes
    ----------
    prefix
        Path of the settings in the configuration, with a dot at its end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: ClassVar[str]

    listen: str = Field(description="Address of the server, HOST:PORT.")
    token_file: str | None = Field(
        default=None, min_length=1, description="File with the token that clients send as Authorization: Bearer TOKEN."
    )
    certificate_file: str | None = Field(
        default=None,
        min_length=1,
        description="PEM file of the server's certificate and its chain. With it, the server accepts only TLS.",
    )
    key_file: str | None = Field(
        default=None, min_length=1, description="PEM file of the private key of certificate_file."
    )
    client_ca_file: str | None = Field(
        default=None,
        min_length=1,
        description="PEM file of the certificate authorities that sign the certificates of clients. With it, every client "
        "needs a certificate.",
    )

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, listen: str) -> str:
        match = _ADDRESS.fullmatch(listen)
        if match is None or int(match["port"]) > 65535:
            raise ValueError(f"must be HOST:PORT, such as 127.0.0.1:4318, not {listen!r}")
        return listen

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can connect."""
        host, _ = self.address
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def authenticates_clients(self) -> bool:
        """Whether clients need a token or a certificate."""
        return self.token_file is not None or self.client_ca_file is not None

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the TLS context of the server, or None if it does not use TLS.

        Raises
        ------
        SecurityError
            If a file cannot be used.
        """
        if self.certificate_file is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        load_certificate(context, self.prefix, self.certificate_file, self.key_file)
        if self.client_ca_file is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(cafile=self.client_ca_file)
            except OSError as error:
                raise SecurityError(
                    f"{self.prefix}client_ca_file: {self.client_ca_file} contains no certificates in PEM format "
                    f"({tls_problem(error)})"
                ) from error
        return context

    def problems(self) -> list[str]:
        """Return one line per contradiction or unusable file, with the path of its key."""
        problems = [*(f"{self.prefix}{line}" for line in self._contradictions()), *self._unreadable_files()]
        if not problems:
            try:
                self.tls_context()
                if self.token_file is not None:
                    read_secret_file(f"{self.prefix}token_file", Path(self.token_file))
            except SecurityError as error:
                problems.append(str(error))
        return problems

    def warnings(self) -> list[str]:
        """Return one line per file with a secret that every user of this machine can read, and one for an unencrypted token."""
        files = [(name, getattr(self, name)) for name in _SECRETS]
        warnings = [
            world_readable_warning(f"{self.prefix}{name}", Path(path))
            for name, path in files
            if path is not None and is_world_readable(Path(path))
        ]
        if not self.is_loopback and self.certificate_file is None:
            warnings.append(
                f"{self.prefix}listen: the token is sent to {self.listen} without encryption: add certificate_file and "
                "key_file, or let only a proxy with TLS connect"
            )
        return warnings

    def _contradictions(self) -> Iterator[str]:
        if not self.is_loopback and not self.authenticates_clients:
            yield (
                f"listen: {self.listen} can be reached from other machines, so clients must be authenticated; add "
                "token_file, add client_ca_file with certificate_file and key_file, or listen on 127.0.0.1"
            )
        for name, other in (
            ("certificate_file", "key_file"),
            ("key_file", "certificate_file"),
            ("client_ca_file", "certificate_file"),
        ):
            if getattr(self, name) is not None and getattr(self, other) is None:
                yield f"{name}: needs {other}; add it"

    def _unreadable_files(self) -> Iterator[str]:
        for name in _FILES:
            path = getattr(self, name)
            if path is not None and (problem := unreadable_problem(f"{self.prefix}{name}", Path(path))):
                yield problem
