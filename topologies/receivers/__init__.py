"""The receivers of notifications, with one file per kind, and the delivery of pending notifications to them.

This package may import console.
"""

from topologies.receivers.delivery import Receiver, build_receivers, deliver_pending

__all__ = ["Receiver", "build_receivers", "deliver_pending"]
