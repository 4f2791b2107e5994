"""The receivers of notifications, with one file per kind, their check, and the delivery of pending notifications.

This package may import console.
"""

from topologies.receivers.delivery import NotificationSender, Receiver, build_receivers
from topologies.receivers.receiver_check import ConnectionResult, connect_to_receivers, missing_secrets
from topologies.receivers.secret import SecretUnavailable, read_secret

__all__ = [
    "ConnectionResult",
    "NotificationSender",
    "Receiver",
    "SecretUnavailable",
    "build_receivers",
    "connect_to_receivers",
    "missing_secrets",
    "read_secret",
]
