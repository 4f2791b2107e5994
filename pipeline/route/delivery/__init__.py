"""Delivery: notifications to send, pending notifications of each receiver, the schedule of attempts, and re-sends.

This package may import the settings, reasons, groups and matchers of route. Sending itself is not pure: see ``topologies/receivers``.
"""

from pipeline.route.delivery.dispatch import Delivery, Dispatch, notification_output
from pipeline.route.delivery.owed import Owed
from pipeline.route.delivery.resend import Resend, ResendClock
from pipeline.route.delivery.schedule import BATCH_MAX, DeliverySchedule

__all__ = [
    "BATCH_MAX",
    "Delivery",
    "DeliverySchedule",
    "Dispatch",
    "Owed",
    "Resend",
    "ResendClock",
    "notification_output",
]
