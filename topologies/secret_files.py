"""Files with secrets and certificates of the configuration: how they are read, and what can be wrong with them."""

import ssl
import stat
from pathlib import Path

from topologies.errors import DriftwireError


class SecurityError(DriftwireError):
    """A secret or a certificate cannot be used."""


def read_secret_file(key: str, path: Path) -> str:
    """Return the content of a file with a secret, without line ends around it.

    Parameters
    ----------
    key
        Path of the key in the configuration that names the file, for the error.

    Raises
    ------
    SecurityError
        If the file cannot be read, is empty, or is not UTF-8.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip("\r\n")
    except OSError as error:
        raise SecurityError(f"{key}: {path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SecurityError(f"{key}: {path} is not UTF-8") from error
    if not secret.strip():
        raise SecurityError(f"{key}: {path} is empty")
    return secret


def load_certificate(
    context: ssl.SSLContext, prefix: str, certificate_file: str, key_file: str | None, password: str = ""
) -> None:
    """Load the own certificate and its private key into a TLS context.

    Parameters
    ----------
    prefix
        Path of the section of the configuration with the keys, for the error.

    Raises
    ------
    SecurityError
        If the files are not a pair, or if the password is wrong.
    """
    try:
        # Without a password argument, OpenSSL would prompt on the terminal.
        context.load_cert_chain(certificate_file, key_file, password=lambda: password)
    except OSError as error:
        remedy = " and that key_password is correct" if prefix.startswith("kafka") else ""
        raise SecurityError(
            f"{prefix}certificate_file: {certificate_file} and the private key {key_file} cannot be used "
            f"({tls_problem(error)}); check that they are PEM files of one pair{remedy}"
        ) from error


def is_world_readable(path: Path) -> bool:
    """Return whether every user of this machine can read a file."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def world_readable_warning(key: str, path: Path) -> str:
    """Return the warning about a file with a secret that every user of this machine can read."""
    return f"{key}: every user of this machine can read {path}: restrict it with chmod o-rwx {path}"


def unreadable_problem(key: str, path: Path) -> str | None:
    """Return the problem if a file cannot be read."""
    try:
        path.read_bytes()
    except OSError as error:
        return f"{key}: {path} cannot be read ({error.strerror}); check the path and its permissions"
    return None


def tls_problem(error: OSError) -> str:
    """Return OpenSSL's reason in lower case, such as "key values mismatch"."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return error.strerror or str(error)
