"""incident -> notification: which receiver is told of an incident, and why.

The last step of the path. One room: it imports schemas and the step protocol only.
"""

from pipeline.route.dispatch import Delivery, Dispatch
from pipeline.route.settings import ReceiverSettings, RouteSettings
from pipeline.route.step import RouteStep

__all__ = ["Delivery", "Dispatch", "ReceiverSettings", "RouteSettings", "RouteStep"]
