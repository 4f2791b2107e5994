import numpy as np
import pytest

from pipeline.detect.baselines.packed_numbers import pack_knots, pack_values, unpack_knots, unpack_values

UNUSUAL = (0.0, -0.0, np.inf, -np.inf, 5e-324, 1.7e308, -1.7e308, 2.0**31, -(2.0**31), 2.0**53 + 2.0, 0.1 + 0.2)


def random_column(random, size):
    """Return numbers of one kind: with few decimals, with all decimals, equal, negative, or unusual."""
    kind = int(random.integers(0, 6))
    column = random.random(size) * 10.0 ** int(random.integers(-8, 12))
    if kind < 3:
        return np.round(column, int(random.integers(0, 8))) * (-1.0 if kind == 2 else 1.0)
    if kind == 3:
        return np.full(size, column[:1] if size else 0.0)
    return random.choice(UNUSUAL, size) if kind == 4 else column


def as_bytes(columns):
    return [column.tobytes() for column in columns]


@pytest.mark.parametrize("seed", range(40))
def test_values_are_unpacked_to_the_bit(seed):
    random = np.random.default_rng(seed)
    columns = [random_column(random, int(random.integers(0, 70))) for _ in range(int(random.integers(0, 8)))]
    assert as_bytes(unpack_values(pack_values(columns))) == as_bytes(columns)


@pytest.mark.parametrize("seed", range(40))
def test_knots_are_unpacked_to_the_bit(seed):
    random = np.random.default_rng(seed)
    shares = np.linspace(0.0, 1.0, 513)
    columns = [np.nan_to_num(random_column(random, int(random.integers(1, 2000)))) for _ in range(5)]
    with np.errstate(over="ignore", invalid="ignore"):
        knots = [np.nan_to_num(np.quantile(column, shares)) for column in columns]
    assert as_bytes(unpack_knots(pack_knots(knots))) == as_bytes(knots)
    assert as_bytes(unpack_knots(pack_knots(columns))) == as_bytes(columns)


def test_numbers_with_few_decimals_take_little():
    random = np.random.default_rng(1)
    values = [np.round(random.lognormal(6.0, 0.5, 64), 1), np.round(random.random(64), 4), np.ones(64)]
    assert len(pack_values(values)) < sum(column.nbytes for column in values) / 4
    knots = np.quantile(np.round(random.random(19_200), 4), np.linspace(0.0, 1.0, 513))
    assert len(pack_knots([knots])) < knots.nbytes / 2
