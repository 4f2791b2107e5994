import numpy as np
import pytest

from pipeline.detect.baselines.rank import KNOTS, RankTable, compute_knots


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_rank_of_a_baseline_is_one_half_whatever_its_shape(seed):
    random = np.random.default_rng(seed)
    shapes = [random.lognormal(0, 2, 5000), random.poisson(2, 5000), random.integers(0, 2, 5000), np.full(5000, 7.0)]
    for values in (shape.astype(float) for shape in shapes):
        assert RankTable(compute_knots(values)).ranks(values).mean() == pytest.approx(0.5, abs=0.003)


def test_ranks_never_fall_with_the_value():
    table = RankTable(compute_knots(np.random.default_rng(1).normal(size=2000).round(1)))
    assert (np.diff(table.ranks(np.linspace(-5, 5, 999))) >= 0).all()


def test_a_value_beyond_all_has_rank_0_or_1():
    table = RankTable(np.full(KNOTS, 3.0).tolist())
    assert table.ranks([2.9, 3.0, 3.1]).tolist() == [0.0, 0.5, 1.0]


def test_a_value_between_two_knots_has_the_rank_between():
    assert RankTable([0.0, 1.0, 2.0]).ranks([0.5, 1.0, 1.9]).tolist() == [0.25, 0.5, 0.75]


def test_an_absent_value_has_no_rank():
    assert np.isnan(RankTable([0.0, 1.0]).ranks([np.nan])).all()


@pytest.mark.parametrize("knots", [[], [1.0], [2.0, 1.0], [0.0, np.nan], [0.0, np.inf]])
def test_knots_that_are_no_quantiles_are_refused(knots):
    with pytest.raises(ValueError, match="knots are"):
        RankTable(knots)
