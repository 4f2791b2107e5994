"""Check of the receivers before a start: their secrets, and connections to their servers. Nothing is sent."""

import asyncio
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from pipeline.route import ReceiverSettings
from pipeline.route.receiver_settings import is_web_address
from topologies.receivers.http import origin_of
from topologies.receivers.secret import SecretUnavailable, read_secret

CONNECT_TIMEOUT_S = 5.0
"""Maximum seconds until a server accepts a connection."""

ADDRESS_KEYS = ("url", "urls", "api_url")
"""Keys of the addresses of a destination, one per line or item. The first key that is set is used."""

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class ConnectionResult:
    """The result of a connection to a target. ``problem`` says what is wrong and what to do, or is None."""

    target: str
    problem: str | None = None


def missing_secrets(receivers: Sequence[ReceiverSettings]) -> list[str]:
    """Return one line per secret of the receivers that cannot be read here: the path of its table, and the problem.

    >>> receiver = ReceiverSettings.model_validate({"name": "hook", "webhook": {"url": "${NO_SUCH_VARIABLE}"}})
    >>> missing_secrets([receiver])
    ['route.receivers[0].webhook: cannot use url: the environment variable NO_SUCH_VARIABLE is not set']
    """
    problems = []
    for index, receiver in enumerate(receivers):
        for key, value, path in _secrets(receiver):
            try:
                read_secret(value, path, key)
            except SecretUnavailable as error:
                problems.append(f"route.receivers[{index}].{receiver.kind}: {error}")
    return problems


async def connect_to_receivers(receivers: Sequence[ReceiverSettings]) -> list[ConnectionResult]:
    """Open a connection to each server of the receivers at the same time, with TLS for https, and close it.

    Receivers without http or https addresses, such as the console, are left out. Each takes at most
    :data:`CONNECT_TIMEOUT_S`.

    Raises
    ------
    SecretUnavailable
        If a secret of a receiver cannot be read.
    """
    attempts = [_connect(receiver.name, address) for receiver in receivers for address in _addresses(receiver)]
    return list(await asyncio.gather(*attempts))


def _addresses(receiver: ReceiverSettings) -> list[str]:
    """Return the addresses of a receiver, without those that are not for HTTP."""
    found: dict[str, list[str]] = {}
    for key, value, path in _secrets(receiver):
        if key in ADDRESS_KEYS:
            found.setdefault(key, []).extend(read_secret(value, path, key).split())
    used = next((found[key] for key in ADDRESS_KEYS if key in found), [])
    return [address for address in used if "://" not in address or address.partition("://")[0].lower() in PORTS]


def _secrets(receiver: ReceiverSettings) -> Iterator[tuple[str, SecretStr | None, str | None]]:
    """Yield the secrets and addresses of a receiver: the key, and the secret or the file that contains it."""
    destination = getattr(receiver, receiver.kind)
    for key, value in destination if isinstance(destination, BaseModel) else ():
        if key.endswith("_file") and value is not None:
            yield key.removesuffix("_file"), None, value
        elif key in ADDRESS_KEYS and isinstance(value, str):
            yield key, SecretStr(value), None
        elif isinstance(value, Mapping):
            yield from ((f"{key}.{name}", item, None) for name, item in value.items() if isinstance(item, SecretStr))
        else:
            items = value if isinstance(value, tuple) else (value,)
            yield from ((key, item, None) for item in items if isinstance(item, SecretStr))


async def _connect(name: str, address: str) -> ConnectionResult:
    """Connect to the server of an address. The result contains only the parts of the address that are not secret."""
    if not is_web_address(address):
        return ConnectionResult(
            f"receiver {name}", "its address is not an http or https address with a host; correct it"
        )
    return ConnectionResult(f"receiver {name}, {origin_of(address)}", await _find_problem(address))


async def _find_problem(address: str) -> str | None:
    parts = urlsplit(address)
    context = ssl.create_default_context() if parts.scheme == "https" else None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or PORTS[parts.scheme], ssl=context)
    except TimeoutError:
        return f"no connection within {CONNECT_TIMEOUT_S:.3g} s; check the address and the firewalls"
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted ({error.verify_message}); correct the address or the certificate"
    except ssl.SSLError as error:
        return f"no TLS connection ({(error.reason or 'unknown reason').replace('_', ' ').lower()}); check the address"
    except socket.gaierror:
        return "unknown host; check the address and the name server"
    except OSError as error:
        return f"no connection ({type(error).__name__}); check the address, the server and the firewalls"
    writer.transport.abort()  # An orderly end of TLS could wait for the server.
    return None
