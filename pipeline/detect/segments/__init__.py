"""The page tests for each segment value (version, region or tenant), and the check for a single small tenant.

This package may import findings, detectors, layout, one-sided tests and signals.
"""

from pipeline.detect.segments.segment_drifts import SegmentDrifts
from pipeline.detect.segments.segments import SegmentObservation, Segments
from pipeline.detect.segments.single_tenant import is_single_small_tenant

__all__ = ["SegmentDrifts", "SegmentObservation", "Segments", "is_single_small_tenant"]
