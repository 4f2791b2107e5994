"""TLS and SASL options, with the names of driftwire's ``[kafka.security]``."""

import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

PASSWORD_VARIABLE = "DRIFTWIRE_KAFKA_PASSWORD"  # noqa: S105  the name of a variable
"""Environment variable with the password of the user. It overrides the options."""

PROTOCOLS = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")

TLS_OPTIONS = ("ca_file", "certificate_file", "key_file", "key_password")
USER_OPTIONS = ("username", "password", "password_file")

TOKEN_LIFETIME_S = 60.0
"""Seconds after which the token file is read again."""


class SecurityOptions(TypedDict, total=False):
    """Encryption and authentication, as in ``[kafka.security]`` of driftwire's configuration.

    The broker's host name is always checked against its certificate.
    """

    protocol: str
    ca_file: str
    certificate_file: str
    key_file: str
    key_password: str
    mechanism: str
    username: str
    password: str
    password_file: str
    token_file: str


def librdkafka_options(security: SecurityOptions) -> dict[str, Any]:
    """Return the options as the configuration of librdkafka.

    Raises
    ------
    ValueError
        If an option is unknown, missing, without effect or has a value that is not allowed, or if a file cannot be read.

    >>> librdkafka_options({"protocol": "ssl"})
    {'security.protocol': 'ssl'}
    """
    if unknown := sorted(set(security) - set(SecurityOptions.__annotations__)):
        raise ValueError(f"security.{unknown[0]} is unknown: use {', '.join(SecurityOptions.__annotations__)}")
    protocol = security.get("protocol", "plaintext")
    if protocol not in PROTOCOLS:
        raise ValueError(f"security.protocol must be one of {', '.join(PROTOCOLS)}, not {protocol!r}")
    _check_combination(security, protocol)
    options: dict[str, Any] = {"security.protocol": protocol}
    if protocol.endswith("ssl"):
        options |= _tls_options(security)
    if protocol.startswith("sasl"):
        options |= _sasl_options(security)
    return options


def _check_combination(security: Mapping[str, Any], protocol: str) -> None:
    """Raise ValueError if an option has no effect, so that nobody takes a plain connection for a secure one."""
    mechanism = security.get("mechanism")
    useful = {"protocol"}
    if protocol.endswith("ssl"):
        useful |= set(TLS_OPTIONS)
    if protocol.startswith("sasl"):
        useful |= {"mechanism", *(("token_file",) if mechanism == "OAUTHBEARER" else USER_OPTIONS)}
    for name in security:
        if name not in useful:
            used = f"protocol {protocol}" + (f" and mechanism {mechanism}" if "mechanism" in useful else "")
            raise ValueError(f"security.{name} has no effect with {used}: remove it, or change the protocol")
    for name, other in (
        ("certificate_file", "key_file"),
        ("key_file", "certificate_file"),
        ("key_password", "key_file"),
    ):
        if name in security and other not in security:
            raise ValueError(f"security.{name} needs {other}: add it")


def _tls_options(security: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "ca_file": "ssl.ca.location",
        "certificate_file": "ssl.certificate.location",
        "key_file": "ssl.key.location",
    }
    options = {option: security[name] for name, option in names.items() if name in security}
    for name in names:
        if name in security:
            _read_file(name, security[name])
    if "key_password" in security:
        options["ssl.key.password"] = security["key_password"]
    return options


def _sasl_options(security: Mapping[str, Any]) -> dict[str, Any]:
    mechanism = security.get("mechanism")
    if mechanism not in MECHANISMS:
        raise ValueError(f"security.mechanism must be one of {', '.join(MECHANISMS)}, not {mechanism!r}")
    options: dict[str, Any] = {"sasl.mechanism": mechanism}
    if mechanism == "OAUTHBEARER":
        path = _require(security, "token_file", mechanism)
        _read_file("token_file", path)
        return options | {"oauth_cb": partial(_read_token, path)}
    options["sasl.username"] = _require(security, "username", mechanism)
    password = os.environ.get(PASSWORD_VARIABLE) or security.get("password")
    if not password:
        password = _read_file("password_file", _require(security, "password_file", mechanism)).strip("\r\n")
    return options | {"sasl.password": password}


def _require(security: Mapping[str, Any], name: str, mechanism: str) -> Any:
    if name not in security:
        raise ValueError(f"security.{name} is required with mechanism {mechanism}: add it")
    return security[name]


def _read_file(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"security.{name}: {path} cannot be read: check the path and its permissions") from error


def _read_token(path: str, _configuration: str) -> tuple[str, float]:
    """Return the token and the Unix time after which librdkafka asks for it again."""
    return _read_file("token_file", path).strip(), time.time() + TOKEN_LIFETIME_S
