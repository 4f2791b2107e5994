"""Which one-sided tests a baseline allows: the band, its null boundary, the bets and the threshold.

Sees no records. May import baselines and signals.
"""

from pipeline.detect.one_sided_tests.bets import BETS, rate_evidence
from pipeline.detect.one_sided_tests.one_sided_test import (
    NEVER_DEMOTED,
    PAGE_RECORDS,
    PROBE_SIGNALS,
    Moved,
    NotTestable,
    OneSidedTest,
    derive_tests,
)

__all__ = [
    "BETS",
    "NEVER_DEMOTED",
    "PAGE_RECORDS",
    "PROBE_SIGNALS",
    "Moved",
    "NotTestable",
    "OneSidedTest",
    "derive_tests",
    "rate_evidence",
]
