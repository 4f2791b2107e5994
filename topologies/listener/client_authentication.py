"""Authentication of clients by the token in a file."""

import hmac
import logging
import time
from pathlib import Path

from aiohttp import web

from topologies.listener.answers import HttpProblem
from topologies.listener_settings import ListenerSettings
from topologies.secret_files import SecurityError, read_secret_file

TOKEN_AGE_MAX_S = 5.0
"""Seconds after which the file of the token is read again."""

logger = logging.getLogger("driftwire")


class ClientAuthentication:
    """Authentication of the clients of a server. Certificates of clients are checked before, by TLS.

    Parameters
    ----------
    settings
        Settings of the server.
    """

    def __init__(self, settings: ListenerSettings) -> None:
        self._settings = settings
        path = settings.token_file
        self._token = None if path is None else TokenReader(path, f"{settings.prefix}token_file")

    def check(self, request: web.BaseRequest) -> None:
        """Check the token of a request.

        Without authentication, refuse requests of web pages: a browser on this machine can reach the loopback address,
        and adds the field Origin.

        Raises
        ------
        HttpProblem
            If the client is refused.
        """
        if self._token is None:
            if not self._settings.authenticates_clients and "Origin" in request.headers:
                raise HttpProblem(
                    403,
                    "requests of web pages are refused, because the server has no token: "
                    f"set {self._settings.prefix}token_file",
                )
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._token.matches(token.strip()):
            raise HttpProblem(
                401,
                "the token is missing or wrong: send Authorization: Bearer TOKEN with the token of the server",
                headers={"WWW-Authenticate": "Bearer"},
            )


class TokenReader:
    """The token in a file. It is read again every few seconds, so a new token needs no restart.

    Parameters
    ----------
    path
        The file.
    key
        The key of the configuration that names it.
    """

    def __init__(self, path: str, key: str) -> None:
        self._path = Path(path)
        self._key = key
        self._token = b""
        self._read_at = -TOKEN_AGE_MAX_S

    def matches(self, token: str) -> bool:
        """Return whether a token is that in the file. The time of the comparison does not depend on the token."""
        now = time.monotonic()
        if now - self._read_at >= TOKEN_AGE_MAX_S:
            try:
                self._token = read_secret_file(self._key, self._path).strip().encode()
            except SecurityError as error:
                logger.error("%s; all clients are refused", error)  # noqa: TRY400  the cause is in the message
                self._token = b""
            self._read_at = now
        return bool(self._token) and hmac.compare_digest(self._token, token.encode(errors="surrogateescape"))
