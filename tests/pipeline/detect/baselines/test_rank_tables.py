import numpy as np
import pytest

from pipeline.detect.baselines.rank import RankTable, compute_knots
from pipeline.detect.baselines.rank_tables import RankTables


@pytest.mark.parametrize("seed", range(4))
def test_ranks_are_those_of_each_table_whatever_their_lengths_and_values(seed):
    random = np.random.default_rng(seed)
    streams = [random.lognormal(size=3000), random.normal(size=3000).round(1), np.full(3000, 7.0)]
    tables = [RankTable(compute_knots(stream)) for stream in streams]
    tables += [RankTable([0.0, 1.0]), RankTable([-1.0, 0.0, 0.0, 2.0]), RankTable([-1e300, 1e300])]
    edges = np.concatenate([table.edges for table in tables])
    values = np.concatenate(
        [edges, np.nextafter(edges, -np.inf), random.normal(size=500), [-1e308, 1e308, -0.0, np.nan]]
    )
    found = RankTables(tables).ranks(np.tile(values[:, None], (1, len(tables))))
    for column, table in enumerate(tables):
        np.testing.assert_array_equal(found[:, column], table.ranks(values))


def test_no_tables_give_no_ranks():
    assert RankTables([]).ranks(np.zeros((5, 0))).shape == (5, 0)
