"""Sides for the tests of the banks that walk them."""

from pipeline.detect.one_sided_tests.bets import departure_bets
from pipeline.detect.one_sided_tests.one_sided_test import OneSidedTest
from tests.pipeline.detect.worlds import BY_NAME


def side(
    edge: float, mean: float, *, rising: bool = True, binary: bool = True, weight=1.0, threshold=20.0
) -> OneSidedTest:
    """A side of a rate or of a value's location, with the product's own bets."""
    beyond = departure_bets(edge if rising else 1 - edge, 1 / 12, binary=binary)
    return OneSidedTest(
        signal=BY_NAME["refused" if binary else "latency_ms"],
        channel="rate" if binary else "location",
        direction="up" if rising else "down",
        tier="page",
        null_boundary=edge,
        stakes=beyond if rising else -beyond,
        mean=mean,
        variance=1 / 12,
        weight=weight,
        threshold=threshold,
    )
