"""One-sided tests for the tests of the banks that run them."""

from pipeline.detect.one_sided_tests.bets import departure_bets
from pipeline.detect.one_sided_tests.one_sided_test import OneSidedTest
from tests.pipeline.detect.worlds import BY_NAME


def simple_test(
    null_boundary: float, mean: float, *, rising: bool = True, binary: bool = True, weight=1.0, threshold=20.0
) -> OneSidedTest:
    """A test of a rate or of a value's location, with the bets that driftwire uses."""
    bets = departure_bets(null_boundary if rising else 1 - null_boundary, 1 / 12, binary=binary)
    return OneSidedTest(
        signal=BY_NAME["refused" if binary else "latency_ms"],
        channel="rate" if binary else "location",
        direction="up" if rising else "down",
        tier="page",
        null_boundary=null_boundary,
        smallest_mean=null_boundary,
        stakes=bets if rising else -bets,
        mean=mean,
        variance=1 / 12,
        weight=weight,
        threshold=threshold,
    )
