import numpy as np
import pytest

from pipeline.detect.one_sided_tests.bets import BETS, STAKE_MAX, departure_bets, recovery_bets


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("null", [1e-5, 0.001, 0.3, 0.58, 0.9, 0.999])
def test_no_record_can_lose_the_whole_wealth(null, binary):
    stakes = departure_bets(null, 1 / 12, binary=binary)
    assert stakes.shape == (BETS,)
    assert (stakes > 0).all()
    for x in (0.0, null, 1.0):
        assert (1 + stakes * (x - null) >= 1 - STAKE_MAX - 1e-12).all()


@pytest.mark.parametrize("null", [0.001, 0.02, 0.58])
def test_wealth_is_not_expected_to_grow_at_the_null_boundary(null):
    stakes = departure_bets(null, 1 / 12, binary=True)
    expected = null * (1 + stakes * (1 - null)) + (1 - null) * (1 + stakes * (0 - null))
    np.testing.assert_allclose(expected, 1.0)


def growth(stakes, null, mean):
    """Expected evidence per record of each bet on a rate with this mean."""
    return mean * np.log1p(stakes * (1 - null)) + (1 - mean) * np.log1p(-stakes * null)


@pytest.mark.parametrize(("null", "smallest"), [(0.31, 0.35), (0.0105, 0.0123), (0.72, 0.75)])
def test_a_mean_that_does_not_matter_gives_no_evidence(null, smallest):
    stakes = departure_bets(null, 0.0, binary=True, smallest=smallest)
    distance = smallest - null
    assert (growth(stakes, null, smallest - 0.1 * distance) < 0).all()
    assert growth(stakes, null, smallest + 0.1 * distance).max() > 0


def test_a_change_beyond_the_smallest_gives_more_evidence_than_against_a_boundary_at_the_smallest():
    narrow = departure_bets(0.305, 0.0, binary=True, smallest=0.349)
    assert growth(narrow, 0.305, 0.37).max() > 10 * growth(departure_bets(0.349, 0.0, binary=True), 0.349, 0.37).max()


def test_a_smallest_mean_at_the_null_boundary_still_gives_bets_on_a_change():
    stakes = departure_bets(0.39, 0.0, binary=True, smallest=0.39)
    assert growth(stakes, 0.39, 0.42).max() > 0


def test_a_constant_baseline_gives_finite_bets():
    assert np.isfinite(departure_bets(0.08, 0.0, binary=False)).all()


def test_farther_guesses_have_larger_stakes():
    assert (np.diff(departure_bets(0.015, 0.0, binary=True)) > 0).all()


@pytest.mark.parametrize("mean", [0.0, 0.005, 0.01])
def test_a_recovered_rate_gains_evidence_and_one_at_the_null_boundary_does_not(mean):
    null = 1 - 0.015
    stakes = recovery_bets(null, 1 - mean, 0.0, binary=True)

    def growth(rate):
        return (1 - rate) * np.log(1 + stakes * (1 - null)) + rate * np.log(1 + stakes * (0 - null))

    assert growth(mean).max() > 0
    assert growth(0.015).max() <= 0
