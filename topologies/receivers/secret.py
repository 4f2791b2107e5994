"""Secrets of receivers, from the configuration, from the environment or from files."""

import os
from pathlib import Path

from pydantic import SecretStr

from pipeline.route.receiver_settings import VARIABLE, is_web_address


class SecretUnavailable(Exception):
    """A secret cannot be read. The message names its source, and never contains a part of the secret."""


def read_secret(value: SecretStr | None, path: str | None, key: str) -> str:
    """Return a secret. It is read again for each attempt, so a new secret needs no restart.

    Parameters
    ----------
    value, path
        The secret, or the file that contains it. ``${NAME}`` in the secret is replaced by an environment variable.
    key
        Key of the secret in the configuration.

    Raises
    ------
    SecretUnavailable
        If the file cannot be read or is empty, or if an environment variable is not set.
    """
    if value is not None:
        return VARIABLE.sub(lambda match: _read_variable(match[1], key), value.get_secret_value())
    try:
        secret = Path(path or "").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SecretUnavailable(f"cannot use the {key}_file {path}: {problem}") from None
    if not secret:
        raise SecretUnavailable(f"cannot use the {key}_file {path}: it is empty")
    return secret


def read_web_address(url: SecretStr | None, path: str | None) -> str:
    """Return the address in the key ``url`` or in the file of the key ``url_file``.

    Raises
    ------
    SecretUnavailable
        If it cannot be read, or is not an http or https address with a host.
    """
    address = read_secret(url, path, "url")
    if not is_web_address(address):
        source = f"the url_file {path}" if url is None else "url"
        raise SecretUnavailable(f"cannot use {source}: it must contain an http or https address with a host")
    return address


def _read_variable(name: str, key: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SecretUnavailable(f"cannot use {key}: the environment variable {name} is not set")
    return value
