"""The cause of a failed connection to Kafka, and the missing permission after a connection."""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from topologies.kafka_security import OAUTHBEARER, SecuritySettings

DIAGNOSIS_TIMEOUT_S = 3.0
"""Maximum seconds to find the cause of a failed connection to one address."""

CLOSE_DELAY_S = 0.05
"""Seconds until a refused connection is closed."""

AUTHORIZATION_ERRORS = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    ClusterAuthorizationFailedError,
)
"""Errors of an authenticated client that lacks a permission."""

_HOSTNAME_MISMATCH, _ADDRESS_MISMATCH, _EXPIRED = 62, 64, 10
"""Codes of OpenSSL for a rejected certificate."""


async def describe_connection_failure(bootstrap: str, security: SecuritySettings) -> str:
    """Return a sentence about the cause of a failed connection, determined by another connection attempt."""
    for host, port, _ in collect_hosts(bootstrap):
        cause = await _find_cause(host, port, security)
        await asyncio.sleep(CLOSE_DELAY_S)  # aiokafka closes a refused connection in the background
        if cause:
            return f"cannot connect to Kafka at {host}:{port}: {cause}"
    return f"no Kafka broker answers at {bootstrap}: start a broker with driftwire up, or give another address with --bootstrap"


def describe_missing_right(error: BaseException, right: str, resources: Sequence[str], user: str) -> str:
    """Return a sentence about a missing permission.

    Parameters
    ----------
    error
        One of :data:`AUTHORIZATION_ERRORS`.
    right, resources
        The permission that the refused request needs, and its topics, group or transactional id. Without resources, the
        error must name them.
    user
        The user that needs the permission.

    >>> describe_missing_right(TopicAuthorizationFailedError(), "Read", ["driftwire.alerts"], "user ana")
    'Read permission on topic driftwire.alerts is missing: grant it to user ana (see docs/security.md)'
    """
    # A cluster error means that the user has this permission on no topic.
    kind = {
        GroupAuthorizationFailedError: "group",
        TransactionalIdAuthorizationFailed: "transactional id",
    }.get(type(error), "topic")
    named = error.args[0] if error.args else ()
    names = ", ".join(resources or ([named] if isinstance(named, str) else sorted(named)))
    return f"{right} permission on {kind} {names} is missing: grant it to {user} (see docs/security.md)"


async def _find_cause(host: str, port: int, security: SecuritySettings) -> str:
    """Return the cause of a failed connection to one address, or nothing if no broker answers there."""
    try:
        async with asyncio.timeout(DIAGNOSIS_TIMEOUT_S):
            await _request_metadata(host, port, security)
    except SaslAuthenticationFailed:
        return f"authentication failed for {security.identity} and mechanism {security.mechanism}"
    except UnsupportedSaslMechanismError:
        return f"the listener does not support mechanism {security.mechanism}: change kafka.security.mechanism"
    except IllegalSaslStateError:
        return "the listener does not use SASL: set kafka.security.protocol to plaintext or ssl, or use another port"
    except ssl.SSLCertVerificationError as error:
        return _describe_certificate(error, host)
    except (OSError, KafkaError, TimeoutError, AssertionError) as error:
        return await _describe_closed_connection(host, port, security, error)
    return ""


async def _request_metadata(host: str, port: int, security: SecuritySettings) -> None:
    """Connect and send a first request, because some listeners refuse a client only at that point."""
    connection = await create_conn(host, port, **security.client_options())
    try:
        response = await connection.send(MetadataRequest([]))
    except KafkaError:
        if security.mechanism == OAUTHBEARER:
            raise SaslAuthenticationFailed from None
        raise
    finally:
        connection.close()
    # aiokafka does not read the refusal of a token and takes it as the answer to the next request.
    if security.mechanism == OAUTHBEARER and not response.brokers:
        raise SaslAuthenticationFailed


def _describe_certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    if error.verify_code in (_HOSTNAME_MISMATCH, _ADDRESS_MISMATCH):
        return (
            f"the certificate of the broker is not for {host}: use a name from the certificate in the address, or give "
            "the broker another certificate"
        )
    if error.verify_code == _EXPIRED:
        return "the certificate of the broker has expired: renew it"
    return (
        f"the certificate of the broker is not trusted ({error.verify_message}): set kafka.security.ca_file to the "
        "authority that signed it"
    )


async def _describe_closed_connection(host: str, port: int, security: SecuritySettings, error: Exception) -> str:
    """Return the likely reason why the broker closed a connection."""
    if not await _answers(host, port):
        return ""
    alert = _tls_alert(error)
    if security.has_tls:
        if alert and security.certificate_file is None:
            return (
                f"the broker requires a client certificate ({alert}): set kafka.security.certificate_file and "
                "kafka.security.key_file"
            )
        if alert:
            return f"the broker refuses the client certificate {security.certificate_file} ({alert})"
        if not await _speaks_tls(host, port):
            return "the listener does not use TLS: set kafka.security.protocol to plaintext or sasl_plaintext"
        return ""
    if await _speaks_tls(host, port):
        return "the listener uses TLS: set kafka.security.protocol to ssl or sasl_ssl"
    if not security.has_sasl and isinstance(error, KafkaError):
        return (
            "the broker closed the connection: if it requires authentication, set kafka.security.protocol to sasl_ssl or "
            "sasl_plaintext"
        )
    return ""


def _tls_alert(error: BaseException | None) -> str:
    """Return the TLS alert that ended a connection, or nothing."""
    while error is not None:
        if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
            return (error.reason or "").replace("_", " ").lower()
        error = error.__cause__ or error.__context__
    return ""


async def _answers(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(DIAGNOSIS_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _speaks_tls(host: str, port: int) -> bool:
    """Return whether a server completes a TLS handshake. Nothing is sent to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only the protocol matters here, and the connection is closed at once
    try:
        async with asyncio.timeout(DIAGNOSIS_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
