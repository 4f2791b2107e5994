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
