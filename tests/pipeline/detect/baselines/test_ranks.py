import numpy as np
import pytest

from pipeline.detect.baselines.ranks import KNOTS, RankTable, RankTables, compute_knots


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_rank_of_a_baseline_is_one_half_whatever_its_shape(seed):
    random = np.random.default_rng(seed)
    shapes = [random.lognormal(0, 2, 5000), random.poisson(2, 5000), random.integers(0, 2, 5000), np.full(5000, 7.0)]
    for values in (shape.astype(float) for shape in shapes):
        assert RankTable(compute_knots(values)).ranks(values).mean() == pytest.approx(0.5, abs=0.003)


def test_ranks_never_fall_with_the_value():
    table = RankTable(compute_knots(np.random.default_rng(1).normal(size=2000).round(1)))
    assert (np.diff(table.ranks(np.linspace(-5, 5, 999))) >= 0).all()


def test_a_value_beyond_all_knots_has_rank_0_or_1():
    table = RankTable(np.full(KNOTS, 3.0).tolist())
    assert table.ranks([2.9, 3.0, 3.1]).tolist() == [0.0, 0.5, 1.0]


def test_a_value_between_two_knots_has_the_rank_between():
    assert RankTable([0.0, 1.0, 2.0]).ranks([0.5, 1.0, 1.9]).tolist() == [0.25, 0.5, 0.75]


def test_an_absent_value_has_no_rank():
    assert np.isnan(RankTable([0.0, 1.0]).ranks([np.nan])).all()


@pytest.mark.parametrize("knots", [[], [1.0], [2.0, 1.0], [0.0, np.nan], [0.0, np.inf]])
def test_invalid_knots_are_rejected(knots):
    with pytest.raises(ValueError, match="knots must be"):
        RankTable(knots)


@pytest.mark.parametrize("seed", range(4))
def test_tables_searched_together_give_the_ranks_of_each_table(seed):
    random = np.random.default_rng(seed)
    streams = [random.lognormal(size=3000), random.normal(size=3000).round(1), np.full(3000, 7.0)]
    knots = [compute_knots(stream) for stream in streams]
    knots += [[0.0, 1.0], [-1.0, 0.0, 0.0, 2.0], [-1e300, 1e300], [0.0, 0.0], [0.0, 5e-324, 1e-323]]
    tables = [RankTable(quantiles) for quantiles in knots]
    edges = np.concatenate([table.edges for table in tables])
    values = np.concatenate(
        [edges, np.nextafter(edges, -np.inf), random.normal(size=500), [-1e308, 1e308, -0.0, np.nan]]
    )
    columns = np.tile(values[:, None], (1, len(tables)))
    ranks = RankTables(knots).ranks(columns)
    for column, table in enumerate(tables):
        np.testing.assert_array_equal(ranks[:, column], table.ranks(values))
    # Streams with other tables, whose blocks follow each other.
    streams_tables = [RankTables(knots), RankTables(knots[::-1]), RankTables(knots)]
    few, bounds = np.fmin(columns, np.inf).T.copy(), np.array([0, 5, len(values) - 3, len(values)])
    of_blocks = RankTables.ranks_of_blocks(streams_tables, few, bounds).T
    expected = [
        each.ranks(columns[start:end]) for each, start, end in zip(streams_tables, bounds, bounds[1:], strict=False)
    ]
    np.testing.assert_array_equal(of_blocks, np.concatenate(expected))


def test_no_tables_give_no_ranks():
    assert RankTables([]).ranks(np.zeros((5, 0))).shape == (5, 0)
    assert RankTables.ranks_of_blocks([RankTables([])], np.zeros((0, 5)), np.array([0, 5])).shape == (0, 5)
