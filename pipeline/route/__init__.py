"""incident -> notification: which receivers are sent an incident revision, and why.

The last step of the path. May import the schemas, the step protocol, the codec, dead letters and wording.
"""

from pipeline.route.dispatch import Delivery, Dispatch
from pipeline.route.settings import ReceiverSettings, RouteSettings
from pipeline.route.step import RouteStep

__all__ = ["Delivery", "Dispatch", "ReceiverSettings", "RouteSettings", "RouteStep"]
