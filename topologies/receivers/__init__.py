"""The receivers of notifications, with one file per kind, and the delivery of pending notifications to them.

This package may import console.
"""

from topologies.receivers.delivery import NotificationSender, Receiver, build_receivers

__all__ = ["NotificationSender", "Receiver", "build_receivers"]
