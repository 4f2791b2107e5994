"""The route step decides which receivers an incident revision is sent to, and records the reasons.

It is the last step of the pipeline. This package may import the schemas, the step protocol, the codec, dead letters and
wording.
"""

from pipeline.route.delivery import Delivery, Dispatch, Resend
from pipeline.route.notices import NoticeDispatch
from pipeline.route.receiver_settings import ReceiverSettings
from pipeline.route.settings import RouteSettings
from pipeline.route.step import PART_KINDS, RouteStep

__all__ = [
    "PART_KINDS",
    "Delivery",
    "Dispatch",
    "NoticeDispatch",
    "ReceiverSettings",
    "Resend",
    "RouteSettings",
    "RouteStep",
]
