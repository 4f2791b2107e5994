"""A proxy between Kafka clients and a broker that injects faults by request type.

This package may import errors only.
"""

from load.wire.faults import TRANSIENT_ERRORS, Fault, FaultKind, FaultPlan
from load.wire.protocol import ApiKey, WireRequest
from load.wire.proxy import Strike, WireProxy

__all__ = ["TRANSIENT_ERRORS", "ApiKey", "Fault", "FaultKind", "FaultPlan", "Strike", "WireProxy", "WireRequest"]
