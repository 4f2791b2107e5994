"""Limits of the configuration that always hold, whatever the baseline says: "p95 above 5 s".

This package needs no baseline and no monitor. It may import findings.
"""

from pipeline.detect.fixed_limits.fixed_limits import FixedLimits

__all__ = ["FixedLimits"]
