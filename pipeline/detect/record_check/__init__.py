"""Check records without a baseline, and describe the fields that detect cannot use.

This package drives admission and blocks from outside. No other room of detect imports it.
"""

from pipeline.detect.record_check.field_problems import (
    describe_bad_fields,
    describe_look_alikes,
    describe_unknown_field,
)
from pipeline.detect.record_check.record_checker import CheckedRecords, RecordChecker, RecordProblem

__all__ = [
    "CheckedRecords",
    "RecordChecker",
    "RecordProblem",
    "describe_bad_fields",
    "describe_look_alikes",
    "describe_unknown_field",
]
