"""Fields of a record as they are sent: what is wrong with a value, unknown names, and the known names they look like.

This package imports no other room of detect.
"""

from pipeline.detect.fields.faults import FaultReason, find_type_fault
from pipeline.detect.fields.look_alikes import find_look_alike
from pipeline.detect.fields.unknown_fields import find_unknown_fields

__all__ = ["FaultReason", "find_look_alike", "find_type_fault", "find_unknown_fields"]
