"""The one-sided tests of a baseline: band, null boundaries, bets and thresholds.

This package reads no records. It may import baselines and signals.
"""

from pipeline.detect.one_sided_tests.band import compute_band
from pipeline.detect.one_sided_tests.bets import BETS, rate_evidence
from pipeline.detect.one_sided_tests.one_sided_test import (
    PAGE_RECORDS,
    CrossingKey,
    NotTestable,
    OneSidedTest,
    derive_tests,
)

__all__ = [
    "BETS",
    "PAGE_RECORDS",
    "CrossingKey",
    "NotTestable",
    "OneSidedTest",
    "compute_band",
    "derive_tests",
    "rate_evidence",
]
