import numpy as np
import pytest

from pipeline.detect.baselines.quarters import BURST_VALUES, Burst


def test_it_stores_the_first_values_of_every_column_and_no_more():
    burst = Burst()
    values = np.column_stack([np.arange(100.0), np.where(np.arange(100) % 10, np.nan, np.arange(100.0))])
    assert burst.add(values)
    assert burst.columns[0].tolist() == list(range(BURST_VALUES))
    assert burst.columns[1].tolist() == list(range(0, 100, 10))
    assert not burst.is_full(2)
    assert not burst.add(np.full((5, 2), np.nan))


@pytest.mark.parametrize("seed", range(5))
def test_merged_bursts_equal_the_burst_of_both_periods(seed):
    random = np.random.default_rng(seed)
    values = random.random((int(random.integers(40, 200)), 3))
    values[random.random(values.shape) < 0.3] = np.nan
    cut = int(random.integers(len(values)))
    first, second, both = Burst(), Burst(), Burst()
    first.add(values[:cut])
    second.add(values[cut:])
    both.add(values)
    for merged, direct in zip(first.merge(second).columns, both.columns, strict=True):
        np.testing.assert_array_equal(merged, direct)


def test_a_column_that_appears_later_is_stored_from_then_on():
    burst = Burst()
    burst.add(np.ones((3, 1)))
    burst.add(np.ones((2, 2)))
    assert [column.size for column in burst.columns] == [5, 2]


def test_a_packed_burst_is_the_same_to_the_bit():
    random = np.random.default_rng(3)
    plain, packed = Burst(), Burst()
    for _ in range(12):
        rows = random.lognormal(size=(9, 4))
        rows[random.random(rows.shape) < 0.3] = np.nan
        packed.pack()
        assert packed.is_full(4) == plain.is_full(4)
        assert packed.add(rows) == plain.add(rows)
        packed.pack()
        assert [column.tobytes() for column in packed.columns] == [column.tobytes() for column in plain.columns]
    later = Burst([np.arange(3.0)] * 5)
    merged, expected = packed.merge(later), plain.merge(later)
    assert [column.tobytes() for column in merged.columns] == [column.tobytes() for column in expected.columns]
