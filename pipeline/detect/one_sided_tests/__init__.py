"""The one-sided tests of a baseline: band, null boundaries, bets and thresholds.

This package reads no records. It may import baselines and signals.
"""

from pipeline.detect.one_sided_tests.band import compute_band
from pipeline.detect.one_sided_tests.bets import BETS, rate_evidence
from pipeline.detect.one_sided_tests.not_testable import NotTestable
from pipeline.detect.one_sided_tests.one_sided_test import CrossingKey, OneSidedTest, derive_tests
from pipeline.detect.one_sided_tests.overdue import overdue_limit

__all__ = [
    "BETS",
    "CrossingKey",
    "NotTestable",
    "OneSidedTest",
    "compute_band",
    "derive_tests",
    "overdue_limit",
    "rate_evidence",
]
