"""The page tests for each segment value (version, region or tenant), and the check for a single small tenant.

This package may import findings, detectors, layout, one-sided tests and signals.
"""

from pipeline.detect.segments.affected_values import describe_affected
from pipeline.detect.segments.block_values import BlockValues, find_block_values
from pipeline.detect.segments.segment_batch import SegmentBatch
from pipeline.detect.segments.segment_drifts import SegmentDrifts
from pipeline.detect.segments.segments import SegmentObservation, Segments
from pipeline.detect.segments.single_tenant import is_single_small_tenant

__all__ = [
    "BlockValues",
    "SegmentBatch",
    "SegmentDrifts",
    "SegmentObservation",
    "Segments",
    "describe_affected",
    "find_block_values",
    "is_single_small_tenant",
]
